import type { Connected } from "../../src/connect.js"

/**
 * Tell whether the guard knew of nobody who leads at its last call. `status()` alone does not say it: a lease that has run out by the clock
 * is in force until a call of the canary or a timer finds out.
 */
export function watchLease(guard: Pick<Connected, "status" | "onChange">): () => boolean {
  let held = false
  function look(): void {
    const { lease } = guard.status().follower
    if (lease === undefined || !lease.needed) held = false
    else if (lease.leftMs !== 0) held = true
    else if (lease.problem !== undefined) held = false
  }
  look()
  // Whatever the guard is told it is told here as well, at the same moment.
  guard.onChange(look)
  return () => {
    look()
    return guard.status().follower.lease?.needed === true && !held
  }
}
