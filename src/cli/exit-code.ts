import type { Snapshot } from "../operate/snapshot.js"

/**
 * What a process that called `serin` can act on. Those of `status` begin with 3 and are no failures but the last; of several that hold, the
 * first of: killed, contained, rolled back, unjudged, no data, held. 7 is an answer of `verify`, 9 of `replay`, 10 of
 * `history --verify`.
 */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  held: 3,
  rolledBack: 4,
  killed: 5,
  noState: 6,
  differs: 7,
  contained: 8,
  overBudget: 9,
  /** A history that is not what was written. */
  broken: 10,
  /** Under way, and held because there is nothing to judge by. */
  noData: 11,
  /** Under way, and no process is judging: a breach would roll back nothing. */
  unjudged: 12,
  /** The store did not answer, or let nobody in. */
  unreachable: 13,
  /** Ended by a signal before it was done, as shells say of Ctrl-C. */
  ended: 130,
} as const

/** Say where a rollout stands as an exit code; null: it has no state. */
export function exitCodeOf(snapshot: Snapshot | null): number {
  if (snapshot === null) return EXIT.noState
  const { phase, state, judged } = snapshot
  switch (phase.phase) {
    case "killed":
      return EXIT.killed
    case "contained":
      return EXIT.contained
    case "rolled_back":
      return EXIT.rolledBack
    case "idle":
    case "promoted":
      // A pause before the start, and what held a rollout that is over.
      return state.holds.length > 0 ? EXIT.held : EXIT.ok
    default:
      if (!judged) return EXIT.unjudged
      if (state.holds.some(({ reason }) => reason === "no_data")) return EXIT.noData
      return state.holds.length > 0 ? EXIT.held : EXIT.ok
  }
}
