import type { Call } from "../model/call.js"
import type { Clock } from "../model/clock.js"
import type { RolloutState } from "../rollout/state.js"
import type { Shelf } from "../shelf.js"

export interface LoadingOptions {
  readonly shelf: Pick<Shelf<Call>, "has" | "fetch" | "versions" | "drop" | "pin" | "isAside">
  readonly guard: { refresh(): void; inUse(): ReadonlySet<string> }
  readonly state: () => RolloutState | null
  /** Loaded in advance, for a start that may come: kept until the state has named them. */
  readonly awaited: readonly string[]
  readonly clock: Clock
  readonly everyMs: number
}

/**
 * Keep on the shelf what the state names, and nothing that is superseded. A release is loaded whole before the guard sees it; one that cannot
 * be loaded is tried again at each interval, and meanwhile stable serves. One that is not what the state means by its version is run by nobody. One that the state names no longer is dropped when no call
 * that began on it is under way.
 */
export function keepLoading({ shelf, guard, state, awaited, clock, everyMs }: LoadingOptions) {
  const expected = new Set(awaited)
  let attempt = 0
  let cancel = (): void => {}

  const named = () => state() ?? { stable: null, canary: null }

  function look(): void {
    cancel()
    const { stable, canary } = named()
    if (shelf.pin(state())) guard.refresh()
    const isDone = clear()
    if (shelf.has(stable) && shelf.has(canary)) {
      if (!isDone) cancel = clock.schedule(look, everyMs)
      return
    }
    const own = ++attempt
    void shelf.fetch([stable, canary]).then(() => {
      guard.refresh()
      // The state may have gone on meanwhile.
      clear()
      if (own === attempt) cancel = clock.schedule(look, everyMs)
    })
  }

  /** Drop what is superseded. False: some of it is still in use. */
  function clear(): boolean {
    const { stable, canary } = named()
    if (stable === null) return true
    for (const version of [stable, canary]) expected.delete(version ?? "")
    const used = guard.inUse()
    let isDone = true
    for (const version of shelf.versions()) {
      const isNamed = version === stable || version === canary || expected.has(version)
      if (isNamed && !shelf.isAside(version)) continue
      if (used.has(version)) isDone = false
      else shelf.drop(version)
    }
    return isDone
  }

  return {
    look,
    stop() {
      attempt++
      cancel()
    },
  }
}
