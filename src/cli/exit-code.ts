import { phaseOf } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"

/** What a process that called `serin` can act on. From 3 on they are answers of `status`, 7 is one of `verify`, 9 of `replay`, 10 of `history --verify`; they are no failures. */
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
  broken: 10,
  /** Ended by a signal before it was done, as shells say of Ctrl-C. */
  ended: 130,
} as const

/** Say where a rollout stands as an exit code. */
export function exitCodeOf(state: RolloutState | null): number {
  if (state === null) return EXIT.noState
  const { phase } = phaseOf(state)
  if (phase === "killed") return EXIT.killed
  if (phase === "contained") return EXIT.contained
  if (phase === "rolled_back") return EXIT.rolledBack
  return state.holds.length > 0 ? EXIT.held : EXIT.ok
}
