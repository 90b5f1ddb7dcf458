import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { isSerinError, SerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import type { Call } from "../model/call.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { resolveCode } from "./code-options.js"
import type { CodeOptions, ResolvedCode } from "./code-options.js"
import { loadCodeParts } from "./code-parts.js"
import { readDataParts } from "./data-parts.js"
import { directoryFiles, isDirectory } from "./directory.js"
import { invalid } from "./problems.js"
import { VERSION, VERSION_FIX } from "./manifest.js"
import type { Manifest } from "./manifest.js"
import type { Engine, Evaluation, Policy, Release, ReleaseSource, ScanReport, SourceFile } from "./ports.js"
import { readTree } from "./read.js"
import { createRefusals } from "./refusals.js"
import type { Refusals } from "./refusals.js"
import { treeDigest } from "./tree.js"
import type { ReleaseFiles } from "./tree.js"
import { resolveTrust } from "../signing/trust.js"
import type { Trust, TrustedKeys } from "../signing/trust.js"
import { verifySignatures } from "./verify.js"

export interface LoadOptions<C = Call> extends CodeOptions {
  /** Engines that a manifest may name. */
  readonly engines: readonly Engine<C>[]
  /** Whose signatures count. With it, an unsigned release is refused; without it, signatures are not looked at. */
  readonly trustedKeys?: TrustedKeys | undefined
}

/** Scanners in workers answer later: their guard must be async. */
export type IsolatedOptions<C = Call> = LoadOptions<C> & { readonly modules: "isolated" }
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

/** Check options of a source. Throws `TypeError` and `RangeError` for what they cannot be. */
export function resolveLoad<C>(options: LoadOptions<C>): ResolvedLoad<C> {
  checkEngines(options.engines)
  const trust = resolveTrust(options.trustedKeys)
  return { engines: options.engines, trust, code: resolveCode(options), refusals: createRefusals() }
}

export function releaseDirectory<C = Call>(
  root: string,
  options: IsolatedOptions<C>,
): ReleaseSource<C, Evaluation, LaterReport>
export function releaseDirectory<C = Call>(root: string, options: LoadOptions<C>): ReleaseSource<C>
/**
 * Serve the releases below a directory, `<root>/<version>/release.yaml`. A release that was loaded is kept: it is immutable.
 * Fails with `RELEASE_NOT_FOUND`, which lists the versions that are there, with `RELEASE_INVALID`, which lists every problem,
 * and with `RELEASE_UNTRUSTED`. Throws a `TypeError` or `RangeError` for `trustedKeys` that are none.
 */
export function releaseDirectory<C = Call>(root: string, options: LoadOptions<C>): ReleaseSource<C> {
  // Misspelt, `trustedKeys` would be no keys at all.
  refuseUnknown("releaseDirectory", options, LOAD_KEYS)
  const resolved = resolveLoad(options)
  return keepLoaded(async (version, digest) => {
    const directory = join(root, version)
    if (!(await isDirectory(directory))) throw await notFound(root, version)
    return buildRelease(await directoryFiles(directory), resolved, version, digest)
  })
}

export function loadRelease<C = Call>(
  directory: string,
  options: IsolatedOptions<C> & { readonly version?: string | undefined },
): Promise<Release<C, Evaluation, LaterReport>>
export function loadRelease<C = Call>(
  directory: string,
  options: LoadOptions<C> & { readonly version?: string | undefined },
): Promise<Release<C>>
/**
 * Load the release in a directory: the manifest `release.yaml` and the files that it names, compiled by an engine.
 * Fails with `RELEASE_INVALID`, which lists every problem, of the manifest and of the rules, and with `RELEASE_UNTRUSTED`.
 * `digest` is that of the files read: what `sha256sum release.yaml rules.yaml | sha256sum` prints.
 */
export async function loadRelease<C = Call>(
  directory: string,
  options: LoadOptions<C> & {
    /** The version that was asked for: the manifest must say the same. */
    readonly version?: string | undefined
  },
): Promise<Release<C>> {
  refuseUnknown("loadRelease", options, { ...LOAD_KEYS, version: true })
  const resolved = resolveLoad(options)
  return buildRelease(await directoryFiles(directory), resolved, options.version)
}

/** A release that is in memory, and how many have got it. */
interface Kept<C> {
  readonly loading: Promise<Release<C>>
  holders: number
}

/**
 * Serve what `load` gives for a version, once; a failure is not kept: the release may be put right, or arrive, while the host runs. When all
 * who got it have dropped it, it is closed and forgotten.
 */
export function keepLoaded<C>(
  load: (version: string, digest: string | undefined) => Promise<Release<C>>,
): ReleaseSource<C> {
  const loaded = new Map<string, Kept<C>>()
  return {
    async get(version, { digest } = {}) {
      // Attack: a version from remote state that climbs out of the root, such as `../../tmp/evil`.
      if (!VERSION.test(version)) {
        const message = `${JSON.stringify(version).slice(0, 60)} is no version`
        throw new SerinError("RELEASE_NOT_FOUND", message, {
          problems: [{ where: "version", message, fix: VERSION_FIX }],
        })
      }
      const before = loaded.get(version)
      const kept = before ?? { loading: load(version, digest), holders: 0 }
      if (before === undefined) {
        loaded.set(version, kept)
        // What was dropped meanwhile and asked for again is another one.
        kept.loading.catch(() => loaded.get(version) === kept && loaded.delete(version))
      }
      kept.holders += 1
      return kept.loading
    },
    async drop(version) {
      const kept = loaded.get(version)
      if (kept === undefined) return
      kept.holders -= 1
      if (kept.holders > 0) return
      loaded.delete(version)
      await (await kept.loading).close?.()
    },
  }
}

/** Read, verify, then build: nothing is compiled before it was verified, and no code runs before all else is in order. */
export async function buildRelease<C>(
  from: ReleaseFiles,
  { engines, trust, code, refusals }: ResolvedLoad<C>,
  version: string | undefined,
  meant?: string,
): Promise<Release<C>> {
  if (from.all !== null) refuseOther(from, treeDigest(from.all), meant)
  const problems: Problem[] = []
  // Where all files are known, they are verified before the first of them is parsed.
  if (trust !== null && from.all !== null)
    await verifySignatures(from, trust, { version, digest: treeDigest(from.all) })
  const known = { engines: engines.map(({ name }) => name), version }
  const { manifest, files = [], digest } = await readTree(from, known, problems)
  const engine = engines.find(({ name }) => name === manifest?.engine)
  const sources = (manifest?.policyFiles ?? []).flatMap((name) => files.find((file) => file.name === name) ?? [])
  if (trust !== null && problems.length === 0 && manifest !== undefined && digest !== undefined) {
    await verifySignatures(from, trust, { version: manifest.version, digest })
  }
  if (problems.length === 0 && digest !== undefined) refuseOther(from, digest, meant)
  if (manifest !== undefined) refuseCode(from, manifest, code)
  if (digest !== undefined) refusals.check(digest)
  // Problems in the files that are there are told as well, beside those that are not; but only those of trusted files.
  const mayCompile = engine !== undefined && sources.length > 0 && (trust === null || problems.length === 0)
  const compiled = mayCompile ? compile(engine, sources) : null
  problems.push(...(compiled?.problems ?? []))
  const mayRead = manifest !== undefined && (trust === null || problems.length === 0)
  const data = mayRead ? readDataParts(manifest, files, problems) : null
  const closePolicy = async (): Promise<void> => compiled?.policy?.close?.()
  const refused = async (): Promise<SerinError> => {
    await closePolicy()
    const error = invalid("RELEASE_INVALID", `the release in ${from.place}`, problems, compiled?.cause)
    // What was compiled or run may have failed of the machine, and takes time each time.
    if (digest !== undefined && (compiled !== null || data !== null)) refusals.refused(digest, error)
    return error
  }
  if (manifest === undefined || digest === undefined || data === null || problems.length > 0) {
    throw await refused()
  }
  const parts = loadCodeParts<C>(manifest, files, { digest, config: data.config }, code, problems)
  const made = await parts.catch(async (error: unknown) => {
    await closePolicy()
    throw error
  })
  const policy = compiled?.policy ?? made?.policy
  if (made === null || policy === undefined) throw await refused()
  refusals.taken(digest)
  const scanners = manifest.scanners.flatMap(({ name }) => data.scanners.get(name) ?? made.scanners.get(name) ?? [])
  return Object.freeze({
    version: manifest.version,
    policy,
    scanners: scanners.length === 0 ? undefined : scanners,
    monitor: data.monitor ?? made.monitor,
    config: data.config,
    sdk: made.sdk,
    digest,
    ...closing([compiled?.policy?.close === undefined ? null : closePolicy, made.close]),
  })
}

/** One `close` for all that there is to close; none where there is nothing. */
function closing(closers: readonly ((() => Promise<void>) | null)[]): Pick<Release, "close"> {
  const all = closers.filter((one) => one !== null)
  // One that cannot be closed keeps no other open.
  return all.length === 0 ? {} : { close: async () => void (await Promise.allSettled(all.map((one) => one()))) }
}

/** Attack: other files under a version that is known, perhaps well signed: another build of it, with a hole or with code. */
function refuseOther({ place }: ReleaseFiles, digest: string, meant: string | undefined): void {
  if (meant === undefined || digest === meant) return
  const message = `is ${digest}, and the state means ${meant}`
  const fix = "put the release back that was started, or start this one: `serin start`"
  throw new SerinError("RELEASE_UNTRUSTED", `the release in ${place} ${message}; ${fix}`, {
    problems: [{ where: place, message, fix }],
  })
}

/** Attack: code in a release where rules were expected: whoever can write there could do what the process can. */
function refuseCode({ place }: ReleaseFiles, manifest: Manifest, { modules }: ResolvedCode): void {
  const refuse = (file: string, message: string, fix: string): never => {
    const problems = [{ where: `${place}/${file}`, message, fix }]
    throw new SerinError("RELEASE_UNTRUSTED", `the release in ${place} brings code: ${file} ${message}; ${fix}`, {
      problems,
    })
  }
  const [first] = manifest.code
  if (first !== undefined && modules === null) {
    refuse(
      first,
      "is a module, which nobody allowed",
      'if you trust whoever writes releases, pass modules: "in-process" or "isolated"',
    )
  }
  const { policyModule, monitor } = manifest
  const inside = policyModule ?? (monitor !== null && "module" in monitor ? monitor : null)
  if (inside !== null && modules === "isolated") {
    refuse(
      inside.module,
      "would run in the process, and scanners alone can be isolated",
      'pass modules: "in-process", or use data',
    )
  }
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

interface Compiled<C> {
  readonly policy?: Policy<C>
  readonly problems: readonly Problem[]
  readonly cause?: unknown
}

/** An engine is foreign code: whatever it throws is a problem of the release. */
function compile<C>(engine: Engine<C>, files: readonly SourceFile[]): Compiled<C> {
  try {
    return { policy: engine.compile(files.map(({ path, text, bytes }) => ({ path, text, bytes }))), problems: [] }
  } catch (cause) {
    if (isSerinError(cause) && cause.problems.length > 0) return { problems: cause.problems, cause }
    const message = `the engine \`${engine.name}\` failed: ${cause instanceof Error ? cause.message : "no error was thrown"}`
    return { problems: [{ where: files.map(({ path }) => path).join(", "), message }], cause }
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
