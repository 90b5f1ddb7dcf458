import { parseState } from "./state.js"
import type { RolloutState } from "./state.js"

/** Nothing left out, nothing null, no list empty: a field that is added to the state and forgotten here does not compile. */
type Whole<T> = T extends readonly (infer E)[]
  ? readonly [Whole<E>, ...Whole<E>[]]
  : T extends object
    ? { readonly [K in keyof T]-?: Whole<NonNullable<T[K]>> }
    : T

const AT = 0
const PER_ARM = { stable: 1, canary: 1 } as const
const ELIGIBLE = { plan: ["free"] } as const
const PIN = { sessions: ["s-1"], attributes: ELIGIBLE } as const
const HUMAN = { kind: "human", id: "warm-up" } as const
const HASH = `sha256:${"0".repeat(64)}`

/** A state of no rollout. */
const WHOLE: Whole<RolloutState> = {
  format: "serin/state/1",
  rollout: "warm-up",
  revision: 1,
  generation: 1,
  epoch: 1,
  assign: "murmur3-x86-32/1",
  salt: "salt",
  spec: {
    rollout: "warm-up",
    stable: "1.0.0",
    canary: "2.0.0",
    stages: [{ weightBp: 10_000, periodMs: 1, approval: true, maxMs: 1, eligible: ELIGIBLE }],
    shadowSampleBp: 10_000,
    criteria: [{ name: "error_rate_delta_max", max: 0.01, mode: "enforce" }],
    onFailure: "rollback",
    onInconclusive: "hold",
    onNoData: "hold",
    minSessions: 1,
    maxStageMs: 1,
    falseAlarmRate: 0.05,
    activationDelayMs: 1,
    intent: "refactor",
    eligible: ELIGIBLE,
    pins: { stable: PIN, canary: PIN },
    maxSessions: 1,
    gate: { replay: "calls.jsonl" },
  },
  stable: "1.0.0",
  canary: "2.0.0",
  digests: { stable: "sha256:0", canary: "sha256:1" },
  ramp: [{ at: AT, weightBp: 10_000, stage: 0 }],
  holds: [{ reason: "paused", since: AT, note: "note" }],
  approvals: [{ stage: 0, by: "ada", reason: "reason", at: AT }],
  kill: "deny",
  ended: { kind: "promoted", at: AT },
  last: {
    event: "kill",
    at: AT,
    actor: HUMAN,
    reason: "reason",
    record: HASH,
    previous: HASH,
    base: HASH,
    verdict: {
      result: "pass",
      at: AT,
      generation: 1,
      criteria: [
        {
          criterion: "error_rate_delta_max",
          mode: "enforce",
          result: "pass",
          unit: "rate",
          max: 0.01,
          method: "arms",
          estimate: 0.1,
          lower: 0.1,
          upper: 0.1,
          alphaBreach: 0.1,
          alphaPass: 0.1,
          logEWorse: 0.1,
          logEWithin: 0.1,
          evaluations: PER_ARM,
          sessions: PER_ARM,
          pairs: 1,
          sources: [{ source: "arms", weight: 1, logE: 0.1 }],
          effectiveSize: 0.1,
          quantiles: { stableMs: 1, canaryMs: 1 },
          noData: "zero",
          reason: "reason",
        },
      ],
      srm: { flagged: false, logBayesFactor: 0.1, observed: PER_ARM, expected: PER_ARM, short: "stable" },
      sessions: { ...PER_ARM, paired: 1 },
      falseAlarmRate: 0.05,
      logEFamily: 0.1,
      cause: "error_rate_delta_max",
      noData: "zero",
      reason: "reason",
    },
  },
}

/** After so many there is little left to gain. */
const TIMES = 3
let isWarm = false

/**
 * Read every part of a state, once in a process: the code that reads a part is made when the first such part comes, which takes longer than all
 * else that is done with a state, and the first one to come may be in a kill. Some 30 ms of CPU time.
 */
export function warmUp(): void {
  if (isWarm) return
  isWarm = true
  const text = JSON.stringify(WHOLE)
  for (let i = 0; i < TIMES; i++) parseState(text)
}
