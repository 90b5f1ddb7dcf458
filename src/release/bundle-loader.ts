import { isSerinError, SerinError } from "../errors.js"
import { buildRelease } from "./build.js"
import { bundleCache } from "./bundle-cache.js"
import { fetchFile, shownUrl } from "./fetch.js"
import type { FetchOptions } from "./fetch.js"
import type { ResolvedLoad } from "./load.js"
import { readPacked } from "./open.js"
import type { Release } from "./ports.js"
import { packedFiles } from "./unpack.js"

/** Where the packed release of a version is. */
export type Place =
  | { readonly kind: "file"; readonly path: (version: string) => string }
  | { readonly kind: "https"; readonly url: (version: string) => URL }

/** Load the packed release of a version; `meant` is the digest that the state names. */
export type LoadBundle<C> = (version: string, meant: string | undefined) => Promise<Release<C>>

interface Refusal {
  readonly etag: string
  /** Digest that was asked for: the same bundle may be the one that is meant next. */
  readonly meant: string | undefined
  readonly error: unknown
  /** How often the server is asked for another before this one is tried again. */
  left: number
}

/** A bundle that may have failed of the machine is downloaded again after the server was asked so often whether it has another. */
const RETRY_AFTER = 8
/** Versions come from remote state: no more of them are remembered. */
const MAX_REFUSALS = 100

/** Load releases from one place, each verified before anything of it is parsed. */
export function bundleLoader<C>(
  place: Place,
  resolved: ResolvedLoad<C>,
  fetching: FetchOptions & { readonly cacheDir: string | undefined },
): LoadBundle<C> {
  const build = async (bytes: Uint8Array, shown: string, version: string, meant?: string): Promise<Release<C>> =>
    buildRelease(await packedFiles(bytes, shown), resolved, version, meant)
  if (place.kind === "file") {
    return async (version, meant) => build(await readPacked(place.path(version)), place.path(version), version, meant)
  }

  const { cacheDir } = fetching
  const cache = cacheDir === undefined ? null : bundleCache(cacheDir, (one) => place.url(one).href)
  const refusals = new Map<string, Refusal>()

  return async (version, meant) => {
    const url = place.url(version)
    const shown = shownUrl(url)
    const before = refusals.get(version)
    const refusal = before !== undefined && before.meant === meant && before.left-- > 0 ? before : undefined
    const cached = refusal === undefined ? ((await cache?.read(version)) ?? null) : null
    const fetched = await fetchFile(url, refusal?.etag ?? cached?.etag ?? null, fetching).catch((error: unknown) => {
      // The server is down: a bundle that was verified once, and will be again below, is as good as it was.
      if (cached !== null && isSerinError(error) && error.code === "RELEASE_UNAVAILABLE") return cached
      throw error
    })
    if ("status" in fetched && fetched.status === "missing") {
      throw new SerinError("RELEASE_NOT_FOUND", `there is no release ${version} at ${shown}`)
    }
    if ("status" in fetched && fetched.status === "unchanged" && refusal !== undefined) throw refusal.error
    const bundle = "bytes" in fetched ? fetched : cached
    if (bundle === null) throw new SerinError("RELEASE_UNAVAILABLE", `${shown} was answered with status 304 to nothing`)
    let release: Release<C>
    try {
      release = await build(bundle.bytes, shown, version, meant)
    } catch (error) {
      refusals.delete(version)
      const mayPass = resolved.refusals.has(error)
      const left = mayPass ? RETRY_AFTER : Infinity
      if (bundle.etag !== null && refusals.size < MAX_REFUSALS)
        refusals.set(version, { etag: bundle.etag, meant, error, left })
      // A copy that may be taken the next time is as good as it was.
      if (!mayPass) await cache?.remove(version).catch(() => {})
      throw error
    }
    refusals.delete(version)
    if (bundle !== cached) await cache?.write(version, bundle).catch(tellCacheFailed)
    return release
  }

  /** The release is there; what fails is the precaution for another day. */
  function tellCacheFailed(error: unknown): void {
    process.emitWarning(`serin cannot keep a release in ${cacheDir}: ${String(error)}`)
  }
}
