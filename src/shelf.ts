import { SerinError } from "./errors.js"
import { errorText } from "./model/error-text.js"
import type { Mode, ReleaseFor } from "./guard/guard-options.js"
import type { Call } from "./model/call.js"
import { releaseBundles } from "./release/bundles.js"
import { checkRelease } from "./release/check.js"
import { releaseDirectory } from "./release/load.js"
import type { Evaluation, ReleaseSource, ScanReport } from "./release/ports.js"
import type { CodeOptions } from "./release/code-options.js"
import { digestOf, nameOf, type Digests } from "./rollout/digests.js"
import type { RolloutState } from "./rollout/state.js"
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
  /** Loaded, and not what the state means by their version: held until nobody uses them, and run by nobody. */
  const aside = new Map<string, ReleaseFor<C, Mode>>()
  let pinned: RolloutState | null = null
  const source = await sourceOf(from, options)

  async function load(version: string, { get, drop }: Source): Promise<void> {
    // Tried again, it is what it failed of before until it is known to be better.
    if (!problems.has(version)) problems.set(version, "it is being loaded")
    let got = false
    try {
      const digest = pinned === null ? undefined : digestOf(pinned, version)
      const release = (await get(version, { digest })) as ReleaseFor<C, Mode>
      got = true
      const error = checkRelease(version, release)
      if (error !== null) throw error
      // Attack: other bytes under a version that is known, put where releases are read from; or an honest one that was built twice.
      const other = otherThan(version, release)
      if (other !== null) throw new SerinError("RELEASE_UNTRUSTED", other)
      releases.set(version, release)
      problems.delete(version)
    } catch (error) {
      problems.set(version, errorText(error))
      // What is not on the shelf nobody will drop.
      if (got) void (async () => drop?.(version))().catch(() => {})
      throw error
    }
  }

  /** Why a release is not the one that the state means by its version; null: it is. */
  function otherThan(version: string, { digest }: { readonly digest?: string | undefined }): string | null {
    const meant = pinned === null ? undefined : digestOf(pinned, version)
    if (meant === undefined || digest === meant) return null
    const what = digest === undefined ? "has no digest, for it was made in code" : `is ${digest}`
    return `release ${version} ${what}, and the state means ${meant}`
  }

  /** Have nothing on the shelf but what a state means by its versions. True: something was put aside, or back. */
  function pin(state: RolloutState | null): boolean {
    pinned = state
    let changed = false
    for (const version of state === null ? [] : [state.stable, state.canary ?? ""]) {
      const [here, there] = [releases.get(version), aside.get(version)]
      const other = here === undefined ? null : otherThan(version, here)
      if (here !== undefined && other !== null) {
        releases.delete(version)
        aside.set(version, here)
        problems.set(version, other)
      } else if (there !== undefined && otherThan(version, there) === null) {
        aside.delete(version)
        releases.set(version, there)
        problems.delete(version)
      } else continue
      changed = true
    }
    return changed
  }

  function require(version: string): Promise<void> {
    if (source === null || releases.has(version)) return Promise.resolve()
    // Its source would give the same one again.
    if (aside.has(version)) return Promise.reject(new SerinError("RELEASE_UNTRUSTED", problems.get(version) ?? version))
    const under = loading.get(version) ?? load(version, source).finally(() => loading.delete(version))
    loading.set(version, under)
    return under
  }

  return {
    releases,
    problems: problems as ReadonlyMap<string, string>,
    versions: (): readonly string[] => [...releases.keys(), ...aside.keys()],
    /** Tell whether what is held of a version is not what the state means by it. */
    isAside: (version: string): boolean => aside.has(version),
    pin,
    /** Digests of what is loaded, for a state that is to mean it. */
    digests: (stable: string, canary: string): Digests => ({
      stable: nameOf(releases.get(stable)?.digest),
      canary: nameOf(releases.get(canary)?.digest),
    }),
    has: (version: string | null): boolean => source === null || version === null || releases.has(version),
    require,
    /** Load what is not there yet; what fails is in `problems`. */
    async fetch(versions: readonly (string | null)[]): Promise<void> {
      await Promise.allSettled(versions.filter((version) => version !== null).map(require))
    },
    /** Take a release off the shelf that nobody needs; its source ends what it holds. */
    drop(version: string): void {
      if (!releases.delete(version) && !aside.delete(version)) return
      void (async () => source?.drop?.(version))().catch(() => {})
    },
  }
}

/** What only files can be asked for. */
export interface FileOptions extends CodeOptions {
  readonly trustedKeys: TrustedKeys | undefined
}

interface Source {
  get(version: string, options: { readonly digest: string | undefined }): unknown
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
      return releaseBundles({ ...options, from })
    }
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
  return { get: (version, options) => own.get(version, options), drop: (version) => own.drop?.(version) }
}
