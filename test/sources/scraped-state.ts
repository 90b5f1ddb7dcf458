import { parseSpec } from "../../src/rollout/spec.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { stateWith } from "../guard/harness.js"

/** The rollout of processes that are scraped. */
export function scrapedState(): RolloutState {
  const text = `
rollout: demo
stable: 1.0.0
canary:
  release: 2.0.0
  traffic_percentage: 50
  observation_period: "1h"
  acceptance_criteria:
    deny_rate_delta_max: 0.02
    error_rate_delta_max: 0.01
    newly_denied_rate_max: 0.05
`
  return stateWith({ spec: parseSpec(text, { path: "rollout.yaml" }) })
}
