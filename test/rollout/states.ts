import { CRITERIA, type NoData, type Result, type Verdict } from "../../src/model/verdict.js"
import { parseSpec, type RolloutSpec } from "../../src/rollout/spec.js"
import { initialState, type Actor, type RolloutState } from "../../src/rollout/state.js"
import { transition, type RolloutEvent } from "../../src/rollout/transition.js"

export const HUMAN: Actor = { kind: "human", id: "ana" }
export const CONTROLLER: Actor = { kind: "controller", id: "host-1" }
export const NOW = Date.UTC(2026, 0, 1)
export const MINUTE = 60_000
export const HOUR = 60 * MINUTE

/** Shadow 10 m, 5 % 1 h, 25 % 1 h, 100 % 2 h; ten sessions; ten seconds of delay. Lines are added inside `canary`. */
export function specOf(...lines: string[]): RolloutSpec {
  const own = ["stages: [5, 25, 100]", "bake_period: 2h", "min_sessions: 10"]
  const kept = own.filter((line) => !lines.some((other) => other.split(":")[0] === line.split(":")[0]))
  const canary = [...kept, ...lines].map((line) => `  ${line}\n`).join("")
  return parseSpec(
    `rollout: r\nstable: "1"\ncanary:\n  release: "2"\n  acceptance_criteria: { error_rate_max: 0.1 }\n${canary}`,
    { path: "test.yaml" },
  )
}

export const idle = (spec: RolloutSpec = specOf()): RolloutState => initialState(spec, NOW, "salt-0", HUMAN)

export const started = (...lines: string[]): RolloutState => {
  const spec = specOf(...lines)
  return transition(idle(spec), { type: "start", spec, salt: "salt-1", actor: HUMAN, reason: "try 2" }, NOW)
}

export function verdictOf(
  result: Result,
  options: { generation?: number; sessions?: number; srm?: boolean; noData?: NoData; at?: number } = {},
): Verdict {
  const { generation = 1, sessions = 1000, srm = false, noData, at = NOW } = options
  const both = { stable: sessions, canary: sessions }
  return {
    result,
    at,
    generation,
    criteria: [
      {
        criterion: CRITERIA[0],
        mode: "enforce",
        result,
        unit: "rate",
        max: 0.01,
        method: "arms",
        estimate: 0.001,
        lower: -0.01,
        upper: null,
        alphaBreach: 0.05,
        alphaPass: 0.05,
        logEWorse: -1.5,
        logEWithin: null,
        evaluations: both,
        sessions: both,
        pairs: 0,
        effectiveSize: null,
        sources: [{ source: "arms", weight: 1, logE: -1.5 }],
        reason: "numbers",
      },
    ],
    srm: { flagged: srm, logBayesFactor: -2, observed: both, expected: both },
    sessions: { ...both, paired: sessions },
    falseAlarmRate: 0.05,
    logEFamily: -1,
    reason: `the verdict is ${result}`,
    ...(noData === undefined ? {} : { noData }),
  }
}

export const tickOf = (verdict: Verdict | null, rest: { noData?: NoData } = {}): RolloutEvent => ({
  type: "tick",
  actor: CONTROLLER,
  verdict,
  ...rest,
})

/** The state after one tick with this verdict. */
export const look = (
  state: RolloutState,
  result: Parameters<typeof verdictOf>[0],
  now: number,
  options = {},
): RolloutState => transition(state, tickOf(verdictOf(result, { generation: state.generation, ...options })), now)

/** Ticks with a pass, each after the period of its stage is over, until the stage of this weight is in force. */
export function at(state: RolloutState, weightBp: number): RolloutState {
  for (let guard = 0; guard < 10; guard++) {
    const entry = state.ramp.at(-1)
    if (entry === undefined || entry.weightBp === weightBp) return state
    state = look(state, "pass", entry.at + (state.spec.stages[entry.stage]?.periodMs ?? 0))
  }
  throw new Error(`no stage has ${weightBp} basis points`)
}

export const since = (state: RolloutState): number => state.ramp.at(-1)?.at ?? Number.NaN
export const holdsOf = (state: RolloutState): readonly string[] => state.holds.map(({ reason }) => reason)
