import { armWeights, phaseOf } from "../rollout/phase.js"
import type { Gauges } from "../telemetry/gauges.js"
import type { CountedEvidence } from "../telemetry/evidence-metrics.js"
import { coverageOf } from "./core.js"
import type { Core } from "./core.js"
import type { StateReader } from "./guard-options.js"

/** What the gauges show. `core` is null while there is none: a sink may ask before. */
export function gaugesOf(reader: StateReader, now: number, core: Core<never> | null): Gauges {
  const current = reader.current()
  return {
    weightBp: current === null ? 0 : armWeights(current, now).canary,
    phase: current === null ? "idle" : phaseOf(current).phase,
    revision: current?.revision ?? null,
    kill: current?.kill ?? "off",
    stateAgeMs: now - (reader.confirmedAt?.() ?? now),
    problems: (reader.problems?.() ?? []).map(({ code }) => code),
    shadowCoverage: core === null ? null : coverageOf(core.book),
    fuseBlown: core?.view.fuseBlown ?? false,
  }
}

/** Evidence that is judged: while a canary is under way. */
export function countedIn(core: Core<never> | null): CountedEvidence | null {
  if (core === null || core.view.state === null || !core.view.underWay) return null
  const { strata, generation } = core.book
  return { evidence: { generation, strata }, criteria: core.view.state.spec.criteria }
}
