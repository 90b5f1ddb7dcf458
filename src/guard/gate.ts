import type { SerinError } from "../errors.js"
import { checkRelease } from "../release/check.js"

/** Releases that may be run. One that cannot be is as good as not loaded. */
export interface Gate<R> {
  get(version: string): R | undefined
  has(version: string): boolean
  /** Throw `RELEASE_INVALID` for the first release that is wrong. */
  require(): void
}

/** Let releases pass that were checked; each is checked once, when it is first met. */
export function createGate<R extends object>(releases: ReadonlyMap<string, R>): Gate<R> {
  const checked = new WeakMap<R, SerinError | null>()

  function check(version: string, release: R): SerinError | null {
    const before = checked.get(release)
    if (before !== undefined) return before
    const error = checkRelease(version, release)
    checked.set(release, error)
    return error
  }

  function get(version: string): R | undefined {
    const release = releases.get(version)
    return release === undefined || check(version, release) !== null ? undefined : release
  }

  return {
    get,
    has: (version) => get(version) !== undefined,
    require() {
      for (const [version, release] of releases) {
        const error = check(version, release)
        if (error !== null) throw error
      }
    },
  }
}
