import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { isSerinError, SerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import type { Call } from "../model/call.js"
import { refuseUnknown } from "../model/options.js"
import { readDataParts } from "./data-parts.js"
import { directoryFiles, isDirectory } from "./directory.js"
import { invalid } from "./document.js"
import { VERSION, VERSION_FIX } from "./manifest.js"
import type { Engine, Policy, Release, ReleaseSource, SourceFile } from "./ports.js"
import { readTree } from "./read.js"
import { treeDigest } from "./tree.js"
import type { ReleaseFiles, TreeFile } from "./tree.js"
import { resolveTrust } from "./trust.js"
import type { Trust, TrustedKeys } from "./trust.js"
import { verifySignatures } from "./verify.js"

export interface LoadOptions<C = Call> {
  /** Engines that a manifest may name. */
  readonly engines: readonly Engine<C>[]
  /** Whose signatures count. With it, an unsigned release is refused; without it, signatures are not looked at. */
  readonly trustedKeys?: TrustedKeys | undefined
}

const SHOWN_VERSIONS = 20

/**
 * Serve the releases below a directory, `<root>/<version>/release.yaml`. A release that was loaded is kept: it is immutable.
 * Fails with `RELEASE_NOT_FOUND`, which lists the versions that are there, with `RELEASE_INVALID`, which lists every problem,
 * and with `RELEASE_UNTRUSTED`. Throws a `TypeError` or `RangeError` for `trustedKeys` that are none.
 */
export function releaseDirectory<C = Call>(root: string, options: LoadOptions<C>): ReleaseSource<C> {
  // Misspelt, `trustedKeys` would be no keys at all.
  refuseUnknown("releaseDirectory", options, { engines: true, trustedKeys: true })
  checkEngines(options.engines)
  const trust = resolveTrust(options.trustedKeys)
  return keepLoaded(async (version) => {
    const directory = join(root, version)
    if (!(await isDirectory(directory))) throw await notFound(root, version)
    return buildRelease(await directoryFiles(directory), { engines: options.engines, trust, version })
  })
}

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
  refuseUnknown("loadRelease", options, { engines: true, trustedKeys: true, version: true })
  checkEngines(options.engines)
  const trust = resolveTrust(options.trustedKeys)
  return buildRelease(await directoryFiles(directory), { engines: options.engines, trust, version: options.version })
}

/** Serve what `load` gives for a version, once; a failure is not kept: the release may be put right, or arrive, while the host runs. */
export function keepLoaded<C>(load: (version: string) => Promise<Release<C>>): ReleaseSource<C> {
  const loaded = new Map<string, Promise<Release<C>>>()
  return {
    async get(version) {
      // Attack: a version from remote state that climbs out of the root, such as `../../tmp/evil`.
      if (!VERSION.test(version)) {
        const message = `${JSON.stringify(version).slice(0, 60)} is no version`
        throw new SerinError("RELEASE_NOT_FOUND", message, {
          problems: [{ where: "version", message, fix: VERSION_FIX }],
        })
      }
      const before = loaded.get(version)
      if (before !== undefined) return before
      const loading = load(version)
      loaded.set(version, loading)
      loading.catch(() => loaded.delete(version))
      return loading
    },
  }
}

/** Read, verify, then build: nothing is compiled before it was verified. */
export async function buildRelease<C>(
  from: ReleaseFiles,
  options: {
    readonly engines: readonly Engine<C>[]
    readonly trust: Trust | null
    readonly version: string | undefined
  },
): Promise<Release<C>> {
  const { engines, trust, version } = options
  const problems: Problem[] = []
  // Where all files are known, they are verified before the first of them is parsed.
  if (trust !== null && from.all !== null)
    await verifySignatures(from, trust, { version, digest: treeDigest(from.all) })
  const known = { engines: engines.map(({ name }) => name), version }
  const { manifest, files = [], digest } = await readTree(from, known, problems)
  const engine = engines.find(({ name }) => name === manifest?.engine)
  const named = (name: string | undefined): TreeFile | undefined => files.find((file) => file.name === name)
  const sources = (manifest?.policyFiles ?? []).flatMap((name) => named(name) ?? [])
  if (trust !== null && problems.length === 0 && manifest !== undefined && digest !== undefined) {
    await verifySignatures(from, trust, { version: manifest.version, digest })
  }
  // Problems in the files that are there are told as well, beside those that are not; but only those of trusted files.
  const mayCompile = engine !== undefined && sources.length > 0 && (trust === null || problems.length === 0)
  const compiled = mayCompile ? compile(engine, sources) : null
  problems.push(...(compiled?.problems ?? []))
  const mayRead = manifest !== undefined && (trust === null || problems.length === 0)
  const data = mayRead ? readDataParts(manifest, files, problems) : null
  if (manifest === undefined || data === null || compiled?.policy === undefined || problems.length > 0) {
    throw invalid("RELEASE_INVALID", `the release in ${from.place}`, problems, compiled?.cause)
  }
  return Object.freeze({ version: manifest.version, policy: compiled.policy, ...data, digest })
}

export function checkEngines(engines: readonly Engine<never>[]): void {
  const names = engines.map(({ name }) => name)
  if (names.length === 0) throw new TypeError("options.engines must have at least one engine, got none")
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
    return { policy: engine.compile(files.map(({ path, text }) => ({ path, text }))), problems: [] }
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
