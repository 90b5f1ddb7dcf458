import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { SerinError } from "../errors.js"
import type { Call } from "../model/call.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { resolveCode } from "./code-options.js"
import type { CodeOptions, ResolvedCode } from "./code-options.js"
import { directoryFiles, isDirectory } from "./directory.js"
import { keepLoaded } from "./keep-loaded.js"
import type { Engine, Evaluation, Release, ReleaseSource, ScanReport } from "./ports.js"
import { createRefusals } from "./refusals.js"
import type { Refusals } from "./refusals.js"
import { resolveTrust } from "../signing/trust.js"
import type { Trust, TrustedKeys } from "../signing/trust.js"
import { VERSION } from "../model/names.js"

/** Options of `releaseDirectory()` and `loadRelease()`. */
export interface LoadOptions<C = Call> extends CodeOptions {
  /** Engines that a manifest may name. */
  readonly engines: readonly Engine<C>[]
  /** Whose signatures count. With it, an unsigned release is refused; without it, signatures are not looked at. */
  readonly trustedKeys?: TrustedKeys | undefined
}

/** Scanners in workers answer later: their guard must be async. */
export type IsolatedOptions<C = Call> = LoadOptions<C> & { readonly modules: "isolated" }

/** What a scanner in a worker answers. */
export type LaterReport = ScanReport | Promise<ScanReport>

const SHOWN_VERSIONS = 20

/** For a list of the options of a source, so that it cannot miss one. */
export const LOAD_KEYS: KeysOf<LoadOptions> = {
  engines: true,
  trustedKeys: true,
  modules: true,
  moduleTimeoutMs: true,
  sdks: true,
}

/** Options as `buildRelease` takes them, read once. */
export interface ResolvedLoad<C> {
  readonly engines: readonly Engine<C>[]
  readonly trust: Trust | null
  readonly code: ResolvedCode
  readonly refusals: Refusals
}

/** Loaded with the first release: a host that makes its releases in code needs nothing that reads, verifies or runs files. */
const building = () => import("./build.js")

/** Check options of a source. Throws `TypeError` and `RangeError` for what they cannot be. */
export function resolveLoad<C>(options: LoadOptions<C>): ResolvedLoad<C> {
  checkEngines(options.engines)
  const trust = resolveTrust(options.trustedKeys)
  return { engines: options.engines, trust, code: resolveCode(options), refusals: createRefusals() }
}

/**
 * Serve the releases below a directory, `<root>/<version>/release.yaml`. A release that was loaded is kept: it is immutable.
 * Fails with `RELEASE_NOT_FOUND`, which lists the versions that are there, with `RELEASE_INVALID`, which lists every problem,
 * and with `RELEASE_UNTRUSTED`. Throws a `TypeError` or `RangeError` for `trustedKeys` that are none.
 */
export function releaseDirectory<C = Call>(
  root: string,
  options: IsolatedOptions<C>,
): ReleaseSource<C, Evaluation, LaterReport>
export function releaseDirectory<C = Call>(root: string, options: LoadOptions<C>): ReleaseSource<C>
export function releaseDirectory<C = Call>(root: string, options: LoadOptions<C>): ReleaseSource<C> {
  // Misspelt, `trustedKeys` would be no keys at all.
  refuseUnknown("releaseDirectory", options, LOAD_KEYS)
  const resolved = resolveLoad(options)
  return keepLoaded(async (version, digest) => {
    const directory = join(root, version)
    if (!(await isDirectory(directory))) throw await notFound(root, version)
    const { buildRelease } = await building()
    return buildRelease(await directoryFiles(directory), resolved, version, digest)
  })
}

/**
 * Load the release in a directory: the manifest `release.yaml` and the files that it names, compiled by an engine.
 * Fails with `RELEASE_INVALID`, which lists every problem, of the manifest and of the rules, and with `RELEASE_UNTRUSTED`.
 * `digest` is that of the files read: what `sha256sum release.yaml rules.yaml | sha256sum` prints.
 */
export function loadRelease<C = Call>(
  directory: string,
  options: IsolatedOptions<C> & { readonly version?: string | undefined },
): Promise<Release<C, Evaluation, LaterReport>>
export function loadRelease<C = Call>(
  directory: string,
  options: LoadOptions<C> & { readonly version?: string | undefined },
): Promise<Release<C>>
export async function loadRelease<C = Call>(
  directory: string,
  options: LoadOptions<C> & {
    /** The version that was asked for: the manifest must say the same. */
    readonly version?: string | undefined
  },
): Promise<Release<C>> {
  refuseUnknown("loadRelease", options, { ...LOAD_KEYS, version: true })
  const resolved = resolveLoad(options)
  const { buildRelease } = await building()
  return buildRelease(await directoryFiles(directory), resolved, options.version)
}

export function checkEngines(engines: readonly Engine<never>[]): void {
  if (!Array.isArray(engines) || engines.length === 0) {
    throw new TypeError("options.engines must be a list with at least one engine, such as [rulesEngine()], got none")
  }
  const names = engines.map(({ name }) => name)
  if (new Set(names).size < names.length) {
    throw new TypeError(`options.engines must have different names, got ${names.join(", ")}`)
  }
}

async function notFound(root: string, version: string): Promise<SerinError> {
  const message = `there is no release ${version} in ${root}`
  const names = await readdir(root).catch(() => null)
  if (names === null) {
    return new SerinError("RELEASE_NOT_FOUND", `${message}, which cannot be read as a directory`)
  }
  const there: string[] = []
  for (const name of names.filter((one) => VERSION.test(one)).sort()) {
    if (await isDirectory(join(root, name))) there.push(name)
  }
  const shown = [...there.slice(0, SHOWN_VERSIONS), ...(there.length > SHOWN_VERSIONS ? ["…"] : [])].join(", ")
  const fix = there.length === 0 ? "none is there" : `there are ${shown}`
  return new SerinError("RELEASE_NOT_FOUND", `${message}; ${fix}`, { problems: [{ where: "version", message, fix }] })
}
