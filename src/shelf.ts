import { SerinError } from "./errors.js"
import type { Mode, ReleaseFor } from "./guard/guard-options.js"
import type { Call } from "./model/call.js"
import { checkRelease } from "./release/check.js"
import type { Evaluation, ReleaseSource, ScanReport } from "./release/ports.js"
import type { CodeOptions } from "./release/code-options.js"
import type { TrustedKeys } from "./signing/trust.js"

/** Where releases come from: a directory of release directories, an address as `releaseBundles` takes it, a source, or releases made by the host, by version. */
export type ReleasesFrom<C extends Call, M extends Mode> =
  string | ReadonlyMap<string, ReleaseFor<C, M>> | ReleaseSource<C, EvaluationFor<M>, ScanReportFor<M>>
type EvaluationFor<M extends Mode> = M extends "async" ? Evaluation | Promise<Evaluation> : Evaluation
type ScanReportFor<M extends Mode> = M extends "async" ? ScanReport | Promise<ScanReport> : ScanReport

/** Releases that are loaded, and why others are not. */
export type Shelf<C extends Call> = Awaited<ReturnType<typeof createShelf<C>>>

export async function createShelf<C extends Call>(from: ReleasesFrom<C, Mode> | undefined, options: FileOptions) {
  const releases = new Map<string, ReleaseFor<C, Mode>>()
  const problems = new Map<string, string>()
  const loading = new Map<string, Promise<void>>()
  const source = await sourceOf(from, options)

  async function load(version: string, { get, drop }: Source): Promise<void> {
    // Tried again, it is what it failed of before until it is known to be better.
    if (!problems.has(version)) problems.set(version, "it is being loaded")
    let got = false
    try {
      const release = (await get(version)) as ReleaseFor<C, Mode>
      got = true
      const error = checkRelease(version, release)
      if (error !== null) throw error
      releases.set(version, release)
      problems.delete(version)
    } catch (error) {
      problems.set(version, error instanceof Error ? error.message : String(error))
      // What is not on the shelf nobody will drop.
      if (got) void (async () => drop?.(version))().catch(() => {})
      throw error
    }
  }

  function require(version: string): Promise<void> {
    if (source === null || releases.has(version)) return Promise.resolve()
    const under = loading.get(version) ?? load(version, source).finally(() => loading.delete(version))
    loading.set(version, under)
    return under
  }

  return {
    releases,
    problems: problems as ReadonlyMap<string, string>,
    versions: (): readonly string[] => [...releases.keys()],
    has: (version: string | null): boolean => source === null || version === null || releases.has(version),
    require,
    /** Load what is not there yet; what fails is in `problems`. */
    async fetch(versions: readonly (string | null)[]): Promise<void> {
      await Promise.allSettled(versions.filter((version) => version !== null).map(require))
    },
    /** Take a release off the shelf that nobody needs; its source ends what it holds. */
    drop(version: string): void {
      if (!releases.delete(version)) return
      void (async () => source?.drop?.(version))().catch(() => {})
    },
  }
}

/** What only files can be asked for. */
export interface FileOptions extends CodeOptions {
  readonly trustedKeys: TrustedKeys | undefined
}

interface Source {
  get(version: string): unknown
  drop?: ((version: string) => unknown) | undefined
}

async function sourceOf<C extends Call>(
  from: ReleasesFrom<C, Mode> | undefined,
  files: FileOptions,
): Promise<Source | null> {
  const [given] = Object.entries(files).find(([, value]) => value !== undefined) ?? []
  if (given !== undefined && typeof from !== "string") {
    // Silence would be read as "verified".
    throw new TypeError(
      `${given} is for releases that are named by a path; a source of your own takes it itself, as releaseDirectory(root, { engines, ${given} }) does`,
    )
  }
  if (from === undefined) return null
  if (typeof from === "string") {
    // Loaded only when releases come from files: a host that brings its own functions needs no rule engine.
    const { rulesEngine } = await import("./engines/rules.js")
    const options = { engines: [rulesEngine()], ...files }
    if (/^[a-z][a-z0-9+.-]+:\/\//i.test(from)) {
      const { releaseBundles } = await import("./release/bundles.js")
      return releaseBundles({ ...options, from })
    }
    const { releaseDirectory } = await import("./release/load.js")
    return releaseDirectory(from, options)
  }
  if (from instanceof Map) {
    return {
      get(version) {
        const release: unknown = from.get(version)
        if (release !== undefined) return release
        const known = [...from.keys()].join(", ")
        throw new SerinError("RELEASE_NOT_FOUND", `there is no release ${version}; the map has ${known || "none"}`)
      },
    }
  }
  if (typeof (from as Partial<ReleaseSource> | null)?.get !== "function") {
    throw new TypeError(
      "releases must be a directory, a Map by version or an object with get(version); wrap a plain object in new Map(Object.entries(…))",
    )
  }
  const own = from as Source
  return { get: (version) => own.get(version), drop: (version) => own.drop?.(version) }
}
