import { isSerinError, SerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import type { ResolvedCode } from "./code-options.js"
import { loadCodeParts } from "./code-parts.js"
import { readDataParts } from "./data-parts.js"
import type { ResolvedLoad } from "./load.js"
import type { Manifest } from "./manifest.js"
import type { Engine, Policy, Release, SourceFile } from "./ports.js"
import { invalid } from "./problems.js"
import { readTree } from "./read.js"
import { treeDigest } from "./tree.js"
import type { ReleaseFiles } from "./tree.js"
import { verifySignatures } from "./verify.js"

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
