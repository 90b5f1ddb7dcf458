import { armWeights, phaseOf } from "../rollout/phase.js"
import type { RolloutState } from "../rollout/state.js"
import type { Gauges } from "../telemetry/gauges.js"
import { coverageOf } from "./core.js"
import type { Core } from "./core.js"

/** What the gauges show. `core` is null while there is none: a sink may ask before. */
export function gaugesOf(
  current: RolloutState | null,
  confirmedAt: number,
  now: number,
  core: Core<never> | null,
): Gauges {
  return {
    weightBp: current === null ? 0 : armWeights(current, now).canary,
    phase: current === null ? "idle" : phaseOf(current).phase,
    stateAgeMs: now - confirmedAt,
    shadowCoverage: core === null ? null : coverageOf(core.book),
    fuseBlown: core?.view.fuseBlown ?? false,
  }
}
