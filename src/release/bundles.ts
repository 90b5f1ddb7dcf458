import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Call } from "../model/call.js"
import { systemClock } from "../model/clock.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import type { Clock } from "../model/clock.js"
import type { LoadBundle, Place } from "./bundle-loader.js"
import type { FetchOptions } from "./fetch.js"
import { keepLoaded } from "./keep-loaded.js"
import { LOAD_KEYS, resolveLoad } from "./load.js"
import type { LaterReport, LoadOptions } from "./load.js"
import type { Evaluation, ReleaseSource } from "./ports.js"
import { MAX_PACKED_BYTES } from "./tree.js"

/** Options of `releaseBundles()`. */
export interface BundleOptions<C = Call> extends LoadOptions<C> {
  /**
   * Where packed releases are: a directory of `<version>.tgz`, or a `file:` or `https:` address with `{version}` in its path or
   * query.
   */
  readonly from: string
  /** Where bundles that were fetched and verified are kept, for a start while their server is down. Default: nowhere. */
  readonly cacheDir?: string | undefined
  /** Largest packed file, bytes. Default and most: 16 MiB. */
  readonly maxBytes?: number | undefined
  /** For one fetch with all its redirects, ms. Default 30,000. */
  readonly timeoutMs?: number | undefined
  /** Fetch from loopback, private and link-local addresses too. Default false. */
  readonly allowPrivateAddresses?: boolean | undefined
  /** Certificates of authorities to trust instead of the machine's, PEM. */
  readonly ca?: string | undefined
  /** For the server, such as `authorization`. Not sent on to another origin. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly clock?: Clock | undefined
}

// Made by a function that is marked as pure: a spread is not, and would stay in the bundle of who never calls this.
const BUNDLE_KEYS = /* @__PURE__ */ ((): KeysOf<BundleOptions> => ({
  ...LOAD_KEYS,
  from: true,
  cacheDir: true,
  maxBytes: true,
  timeoutMs: true,
  allowPrivateAddresses: true,
  ca: true,
  headers: true,
  clock: true,
}))()

/**
 * Serve packed releases, verified before anything of them is parsed, and unpacked in memory. One that was loaded is kept: it is immutable.
 * Fails with `RELEASE_NOT_FOUND`, `RELEASE_UNAVAILABLE` (it could not be fetched), `RELEASE_INVALID` and `RELEASE_UNTRUSTED`. Of a
 * bundle that is refused nothing is kept, but for an etag, so that it is not downloaded again.
 * Throws a `TypeError` or `RangeError` for options that are none.
 */
export function releaseBundles<C = Call>(
  options: BundleOptions<C> & { readonly modules: "isolated" },
): ReleaseSource<C, Evaluation, LaterReport>
export function releaseBundles<C = Call>(options: BundleOptions<C>): ReleaseSource<C>
export function releaseBundles<C = Call>(options: BundleOptions<C>): ReleaseSource<C> {
  refuseUnknown("releaseBundles", options, BUNDLE_KEYS)
  const resolved = resolveLoad(options)
  const fetching = resolveFetch(options)
  const place = resolvePlace(options.from)
  // What reads, fetches and unpacks is loaded with the first release: a host that imports this may never ask for one.
  let loader: Promise<LoadBundle<C>> | undefined
  return keepLoaded(async (version, meant) => {
    loader ??= import("./bundle-loader.js").then(({ bundleLoader }) =>
      bundleLoader(place, resolved, { ...fetching, cacheDir: options.cacheDir }),
    )
    return (await loader)(version, meant)
  })
}

const SLOT = "{version}"

function resolvePlace(given: string): Place {
  if (typeof given !== "string" || given === "")
    throw new TypeError(`from must be a directory or an address, got ${given}`)
  // As `pathToFileURL` writes the braces.
  const from = given.replaceAll(/%7bversion%7d/gi, SLOT)
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(from)?.[1]?.toLowerCase()
  if (scheme === undefined) return { kind: "file", path: (version) => join(from, `${version}.tgz`) }
  if (scheme !== "https" && scheme !== "file") {
    throw new TypeError(`from must be a directory, file: or https:, got ${scheme}:; serve bundles over https`)
  }
  const at = (version: string): URL => new URL(from.replaceAll(SLOT, encodeURIComponent(version)))
  if (!URL.canParse(from.replaceAll(SLOT, "1")) || !from.includes(SLOT)) {
    throw new TypeError(
      `from must be an address with ${SLOT} in it, such as ${scheme === "file" ? "file:///" : "https://host/"}releases/${SLOT}.tgz`,
    )
  }
  const [one, other] = [at("1"), at("2")]
  // Attack: a version from remote state that chooses the server.
  if (one.host !== other.host || one.pathname + one.search === other.pathname + other.search) {
    throw new TypeError(`from must have ${SLOT} in its path or query`)
  }
  if (one.username !== "" || one.password !== "") {
    throw new TypeError("from must have no name and password in it, which would be logged; use headers.authorization")
  }
  if (scheme === "https") return { kind: "https", url: at }
  fileURLToPath(one) // throws a TypeError for a file of another host
  return { kind: "file", path: (version) => fileURLToPath(at(version)) }
}

function resolveFetch<C>(options: BundleOptions<C>): FetchOptions {
  const { maxBytes = MAX_PACKED_BYTES, timeoutMs = 30_000, allowPrivateAddresses = false } = options
  if (!(maxBytes > 0 && maxBytes <= MAX_PACKED_BYTES)) {
    throw new RangeError(`maxBytes must be from 1 to ${MAX_PACKED_BYTES}, got ${maxBytes}`)
  }
  if (!(timeoutMs > 0 && timeoutMs <= 2 ** 31 - 1)) {
    throw new RangeError(`timeoutMs must be greater than 0 and at most 2147483647, got ${timeoutMs}`)
  }
  const { ca, headers = {}, clock = systemClock } = options
  return { maxBytes, timeoutMs, allowPrivateAddresses, ca, headers, clock }
}
