import type { Call } from "../../src/model/call.js"
import { CELLS, cellIndex, COHORTS } from "../../src/model/evidence.js"
import type { Cell, Evidence } from "../../src/model/evidence.js"
import type { Evaluation, Release } from "../../src/release/ports.js"
import { createGuard } from "../../src/guard.js"
import type { Guard } from "../../src/guard.js"
import type { GuardOptions, StateReader } from "../../src/guard/guard-options.js"
import type { GuardEvent } from "../../src/guard/core.js"
import { parseSpec } from "../../src/rollout/spec.js"
import { initialState } from "../../src/rollout/state.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { fakeClock } from "../../src/testing/fake-clock.js"

export const T0 = Date.UTC(2026, 0, 1)

export const spec = parseSpec(
  `
rollout: demo
stable: 1.0.0
canary:
  release: 2.0.0
  traffic_percentage: 5
  observation_period: "1h"
  acceptance_criteria:
    deny_rate_delta_max: 0.02
`,
  { path: "rollout.yaml" },
)

/** A state of the demo rollout, in the first generation, with what differs. */
export function stateWith(differs: Partial<RolloutState> = {}): RolloutState {
  const actor = { kind: "human", id: "test" } as const
  return {
    ...initialState(spec, T0, "salt", actor),
    generation: 1,
    canary: "2.0.0",
    ramp: [{ at: T0, weightBp: 5000, stage: 0 }],
    ...differs,
  }
}

export interface FakeState extends StateReader {
  set(state: RolloutState | null): void
  /** How many listen. */
  listeners(): number
}

export function fakeState(initial: RolloutState | null): FakeState {
  let current = initial
  const listeners = new Set<() => void>()
  return {
    current: () => current,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    set(state) {
      current = state
      for (const listener of listeners) listener()
    },
    listeners: () => listeners.size,
  }
}

export type Evaluate = (call: Call) => Evaluation

export const release = (version: string, evaluate: Evaluate): Release => ({ version, policy: { evaluate } })

export interface Harness {
  readonly guard: Guard
  readonly state: FakeState
  readonly clock: ReturnType<typeof fakeClock>
  readonly events: GuardEvent[]
}

/** A synchronous guard over two policies, half of the sessions each, on a clock that stands still. */
export function harness(
  policies: { stable?: Evaluate; canary?: Evaluate } = {},
  state: RolloutState | null = stateWith(),
  options: Partial<GuardOptions<Call, "sync">> = {},
): Harness {
  const clock = fakeClock(T0)
  const reader = fakeState(state)
  const events: GuardEvent[] = []
  const guard = createGuard({
    rollout: "demo",
    state: reader,
    clock,
    releases: new Map([
      ["1.0.0", release("1.0.0", policies.stable ?? (() => "allow"))],
      ["2.0.0", release("2.0.0", policies.canary ?? (() => "deny"))],
    ]),
    onEvent: (event) => void events.push(event),
    ...options,
  })
  return { guard, state: reader, clock, events }
}

/** The first id of a sequence that lands on an arm. */
export function idOn(
  guard: { session(id: string): { readonly arm: string } },
  arm: "stable" | "canary",
  skip = 0,
): string {
  for (let i = 0, found = 0; i < 10_000; i++) {
    const id = `probe-${i}`
    if (guard.session(id).arm === arm && found++ === skip) return id
  }
  throw new Error(`no session on ${arm}`)
}

/** Sum of one cell of an arm over cohorts and strata. */
export function count(evidence: Evidence, arm: 0 | 1, name: Cell): number {
  let sum = 0
  for (const { cells } of evidence.strata) {
    for (let cohort = 0; cohort < COHORTS; cohort++) sum += cells[cellIndex(arm, cohort, CELLS.indexOf(name))]!
  }
  return sum
}

type PairArray = "pairs" | "pairsAfter" | "pairedSessions" | "scanPairs" | "scanPairedSessions"

/** Sum of one array of pairs over strata. */
export const total = (evidence: Evidence, key: PairArray): number =>
  evidence.strata.reduce((sum, stratum) => sum + stratum[key].reduce((a, b) => a + b, 0), 0)
