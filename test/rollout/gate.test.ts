import { describe, expect, it } from "vitest"
import { isSerinError } from "../../src/errors.js"
import { checkEvent } from "../../src/rollout/event-fields.js"
import type { GateReport } from "../../src/rollout/gate.js"
import { parseSpec } from "../../src/rollout/spec.js"
import { parseState, serializeState } from "../../src/rollout/state.js"
import { transition } from "../../src/rollout/transition.js"
import { HUMAN, idle, NOW, specOf } from "./states.js"

const spec = specOf("gate: replay")
const asked = { salt: "s", actor: HUMAN, reason: "try 2" } as const
const begin = (gate?: GateReport, of = spec) => transition(idle(of), { type: "start", spec: of, gate, ...asked }, NOW)

type Budget = GateReport["budgets"][number]
const budget = (over: Partial<Budget> = {}): Budget => ({
  criterion: "error_rate_max",
  max: 0.1,
  measured: 0,
  result: "within",
  ...over,
})
const report = (over: Partial<GateReport> = {}): GateReport => ({
  stable: { version: "1", digest: "sha256:aa" },
  canary: { version: "2", digest: null },
  calls: 1164,
  differing: 7,
  budgets: [budget()],
  ...over,
})

describe("a rollout with a gate", () => {
  it("begins when the replay kept its limits, and its history says what was replayed", () => {
    const state = begin(report())
    expect(state).toMatchObject({ canary: "2", generation: 1, spec: { gate: { replay: "calls.jsonl" } } })
    expect(state.last.reason).toBe(
      "try 2; replayed 1164 calls of calls.jsonl, 7 answered otherwise, within the limits: 1 (sha256:aa), 2 (made in code)",
    )
    expect(parseState(serializeState(state))).toEqual(state)
  })

  it.each<[string, GateReport | undefined, RegExp]>([
    ["without a replay", undefined, /its gate asks for a replay of calls\.jsonl first: `serin start` makes it/],
    [
      "after that of another release",
      report({ canary: { version: "3", digest: null } }),
      /the replay was of 1 and 3, not of 1 and 2/,
    ],
    [
      "after one that was not held against its criteria",
      report({ budgets: [budget({ criterion: "deny_rate_delta_max" })] }),
      /was not held against error_rate_max: 0\.1/,
    ],
    [
      "after one with a wider limit",
      report({ budgets: [budget({ max: 0.2 })] }),
      /not held against error_rate_max: 0\.1/,
    ],
    [
      "after one that exceeded a limit",
      report({ budgets: [budget({ measured: 0.1234567, result: "over" })] }),
      /on the recorded calls of calls\.jsonl, error_rate_max is 0\.123, above 0\.1: `serin replay` shows/,
    ],
    [
      "after one that tells nothing",
      report({ budgets: [budget({ measured: null, result: "no_data" })] }),
      /tell nothing of any criterion that is enforced/,
    ],
  ])("does not begin %s", (_, gate, message) => {
    try {
      begin(gate)
    } catch (error) {
      if (!isSerinError(error)) throw error
      expect(error.code).toBe("TRANSITION_REFUSED")
      expect(error.message).toMatch(message)
      return
    }
    throw new Error("it began")
  })

  it("is asked for again by a retry, with the spec of its own or with that in force", () => {
    const rolledBack = transition(begin(report()), { type: "rollback", actor: HUMAN, reason: "bad" }, NOW)
    const retry = (more: object) => transition(rolledBack, { type: "retry", ...asked, ...more }, NOW)
    expect(() => retry({})).toThrow(/asks for a replay/)
    expect(() => retry({ spec })).toThrow(/asks for a replay/)
    expect(retry({ gate: report() })).toMatchObject({ generation: 2 })
    expect(retry({ spec: specOf() })).toMatchObject({ generation: 2 })
  })

  it("keeps nobody from lifting a kill that fell before it began", () => {
    const killed = transition(idle(spec), { type: "kill", position: "deny", actor: HUMAN, reason: "all" }, NOW)
    expect(transition(killed, { type: "retry", ...asked }, NOW).kill).toBe("off")
  })

  it("takes what a compiler has not seen for a report only if it is one", () => {
    const event = { type: "start", spec, ...asked }
    expect(() => checkEvent({ ...event, gate: report() })).not.toThrow()
    expect(() => checkEvent({ ...event, gate: "passed" })).toThrow(/event\.gate must be a report, as replayCalls/)
    expect(() => checkEvent({ ...event, gate: { ...report(), budgets: [null] } })).toThrow(/event\.gate/)
  })
})

describe("`gate` in a rollout file", () => {
  it("is replay, or says of which calls", () => {
    expect(specOf().gate).toBeUndefined()
    expect(specOf("gate: { replay: recorded/may.jsonl.gz }").gate).toEqual({ replay: "recorded/may.jsonl.gz" })
  })

  it.each([
    ["gate: shadow", /must be replay or a map of replay/],
    ["gate: {}", /replay/],
    ["gate: { replay: 7 }", /must be the path of a file of recorded calls/],
    ["gate: { replays: x }", /replays/],
  ])("is refused as %s", (line, message) => {
    expect(() => specOf(line)).toThrow(message)
  })

  it("is refused where no replay could open it", () => {
    const alerts = `rollout: r\nstable: "1"\ncanary:\n  release: "2"\n  gate: replay\n  acceptance_criteria: { alert_rate_delta_max: 0.1 }\n`
    expect(() => parseSpec(alerts, { path: "rollout.yaml" })).toThrow(/would never open: a replay tells nothing/)
  })
})
