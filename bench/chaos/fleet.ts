import type { Release } from "serin"

export const ROLLOUT = "chaos"
export const STABLE = "1.0.0"
export const CANARY = "1.1.0"

/** A rollout that goes through all its stages within minutes of the scripted hour. */
export const SPEC = `
rollout: ${ROLLOUT}
stable: "${STABLE}"
canary:
  release: "${CANARY}"
  stages: [20, 50, 100]
  shadow: { period: "20s" }
  observation_period: "60s"
  bake_period: "30m"
  min_sessions: 10
  acceptance_criteria: { newly_denied_rate_max: 0.2, error_rate_delta_max: 0.2 }
  activation_delay: "10s"
`

const release = (version: string): Release => ({ version, policy: { evaluate: () => "allow" } })

/** Both releases answer alike: whatever goes wrong here is not theirs. */
export const RELEASES: ReadonlyMap<string, Release> = new Map(
  [STABLE, CANARY].map((version) => [version, release(version)]),
)
