import type { RolloutState } from "serin"
import type * as Rollout from "serin/rollout"

const SPEC = `
rollout: bench
stable: "1"
canary:
  release: "2"
  traffic_percentage: 5
  acceptance_criteria: { deny_rate_delta_max: 0.02 }
`

/** A rollout that is at 5 % and stays there. It imports nothing: what it is made by is the sources', or what was built. */
export function standingState(
  { initialState, parseSpec }: Pick<typeof Rollout, "initialState" | "parseSpec">,
  shadowSampleBp: number,
): RolloutState {
  const spec = parseSpec(SPEC, { path: "bench.yaml" })
  return {
    ...initialState(spec, 0, "salt", { kind: "human", id: "bench" }),
    generation: 1,
    canary: "2",
    ramp: [{ at: 0, weightBp: 500, stage: 1 }],
    spec: { ...spec, shadowSampleBp },
  }
}
