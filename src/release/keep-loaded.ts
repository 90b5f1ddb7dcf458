import { SerinError } from "../errors.js"
import type { Release, ReleaseSource } from "./ports.js"
import { VERSION, VERSION_FIX } from "../model/names.js"

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
