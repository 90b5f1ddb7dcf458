import { act, ensureState, newSalt } from "../../src/controller/verbs.js"
import type { Evidence } from "../../src/model/evidence.js"
import { parseSpec } from "../../src/rollout/spec.js"
import type { RolloutState } from "../../src/rollout/state.js"
import type { StateStore } from "../../src/rollout/store.js"
import { paired } from "./evidence.js"

export const human = { kind: "human", id: "ada" } as const
export const spec = parseSpec(
  `
rollout: demo
stable: 1.0.0
canary:
  release: 2.0.0
  stages: [5, 100]
  shadow: { period: 4s }
  observation_period: 1h
  bake_period: 1h
  activation_delay: 1s
  min_sessions: 100
  acceptance_criteria:
    deny_rate_delta_max: 0.02
`,
  { path: "rollout.yaml" },
)

const HEALTHY = paired(1, 2, 400, () => false)
const SCARCE = paired(1, 3, 4, () => false)
const BROKEN = paired(1, 3, 200, (n) => n % 2 === 0)

/** What there is to see depends on where the rollout stands, and not on when one looks: so there is one right history. */
export function evidenceFor(state: RolloutState): Evidence {
  if (state.ramp.length === 1) return HEALTHY
  return state.holds.length === 0 ? SCARCE : BROKEN
}

/** Have the canary started at a time, ms since the epoch. */
export async function begin(store: StateStore, at: number): Promise<void> {
  await ensureState(store, spec, human, at)
  await act(store, "demo", { type: "start", spec, salt: newSalt(), actor: human, reason: "" }, () => at)
}

export const STORY = [
  "0 init at -   by -",
  "1 start at 0   by -",
  "1 advance at 500   by pass",
  "1 hold at 500 sample  by inconclusive",
  "1 rollback at 500  rolled_back by breach",
]

/** What happened, whoever did it and when. */
export function story(states: readonly RolloutState[]): readonly string[] {
  return states
    .filter(({ last }) => last.event !== "lead")
    .map(({ last, ramp, holds, ended, generation }) => {
      const held = holds.map(({ reason }) => reason).join("+")
      return `${generation} ${last.event} at ${ramp.at(-1)?.weightBp ?? "-"} ${held} ${ended?.kind ?? ""} by ${last.verdict?.result ?? "-"}`
    })
}
