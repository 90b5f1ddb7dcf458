import { describe, expect, it } from "vitest"
import { isSerinError } from "../../src/errors.js"
import {
  initialState,
  MAX_STATE_BYTES,
  parseState,
  serializeState,
  type RolloutState,
} from "../../src/rollout/state.js"
import { transition } from "../../src/rollout/transition.js"
import { at, HUMAN, idle, look, NOW, specOf, started, tickOf, verdictOf } from "./states.js"

type Json = Record<string, unknown>

/** The JSON of a state in its second served stage, changed by hand. */
function edited(change: (state: Json & { spec: Json; ramp: Json[]; last: Json }) => void): string {
  const value = JSON.parse(serializeState(at(started(), 2500)))
  change(value)
  return JSON.stringify(value)
}

function problemsOf(text: string): string[] {
  try {
    parseState(text)
  } catch (error) {
    if (isSerinError(error) && error.code === "STATE_INVALID")
      return error.problems.map((p) => `${p.where}: ${p.message}`)
    throw error
  }
  throw new Error("the state was accepted")
}

describe("initialState", () => {
  it("serves everybody from stable, at revision 1 of generation 0", () => {
    const spec = specOf()
    expect(initialState(spec, NOW, "salt", HUMAN)).toEqual({
      format: "serin/state/1",
      rollout: "r",
      revision: 1,
      generation: 0,
      epoch: 0,
      assign: "murmur3-x86-32/1",
      salt: "salt",
      spec,
      stable: "1",
      canary: null,
      ramp: [],
      holds: [],
      approvals: [],
      kill: "off",
      ended: null,
      last: { event: "init", at: NOW, actor: HUMAN, reason: "first revision" },
    })
  })
})

describe("a state that was written", () => {
  const states: [string, RolloutState][] = [
    ["idle", idle()],
    ["started", started()],
    ["with a verdict", look(at(started(), 500), "inconclusive", NOW, { sessions: 1, srm: true })],
    ["rolled back by a breach", look(at(started(), 500), "breach", NOW)],
    ["killed", transition(started(), { type: "kill", position: "deny", actor: HUMAN, reason: "ünsafe 🐤" }, NOW)],
  ]

  it.each(states)("is read back as it was: %s", (_name, state) => {
    expect(parseState(serializeState(state))).toEqual(JSON.parse(JSON.stringify(state)))
  })

  it("is never held up by a verdict that cannot be written", () => {
    const verdict = { ...verdictOf("breach"), logEFamily: Number.POSITIVE_INFINITY }
    const state = transition(at(started(), 500), tickOf(verdict), NOW)
    const read = parseState(serializeState(state))
    expect(read.ended).toEqual({ kind: "rolled_back", at: NOW })
    expect(read.last.verdict).toBeUndefined()
  })

  it("is refused before anybody else can see it when it could not be read back", () => {
    expect(() => serializeState({ ...started(), salt: "" })).toThrow(/salt/)
  })
})

describe("a state from a hostile world", () => {
  it("is refused by its size before it is parsed", () => {
    const text = JSON.stringify({ x: "y".repeat(MAX_STATE_BYTES) })
    expect(problemsOf(text)).toEqual(["state: is over 262144 bytes long"])
    // 100,000 characters, 300,000 bytes.
    expect(problemsOf("€".repeat(100_000))).toEqual(["state: is over 262144 bytes long"])
  })

  it.each([
    ["nothing", ""],
    ["half of it", serializeState(started()).slice(0, -40)],
    ["lists nested by the thousand", "[".repeat(100_000) + "]".repeat(100_000)],
    ["__proto__", edited(() => {}).replace('"format"', '"__proto__":{"kill":"off"},"format"')],
    ["__proto__ within", edited(() => {}).replace('"weightBp"', '"__proto__":[],"weightBp"')],
    ["__proto__ by its escape", edited(() => {}).replace('"format"', '"__pr\\u006fto__":{},"format"')],
  ])("is refused as JSON: %s", (_name, text) => {
    expect(problemsOf(text)[0]).toMatch(/^state: is not JSON that can be read: /)
  })

  it.each<[string, string, Parameters<typeof edited>[0]]>([
    ["another format", "format: ", (s) => (s["format"] = "serin/state/2")],
    ["an unknown key", "state: Unrecognized key", (s) => (s["extra"] = 1)],
    ["a missing key", "kill: ", (s) => delete s["kill"]],
    ["an unknown position of the kill switch", "kill: ", (s) => (s["kill"] = "on")],
    ["a revision of 0", "revision: ", (s) => (s["revision"] = 0)],
    ["a revision beyond exact numbers", "revision: ", (s) => (s["revision"] = 2 ** 53)],
    ["a weight that is no integer", "ramp.1.weightBp: ", (s) => (s.ramp[1]!["weightBp"] = 500.5)],
    ["a weight above 100 %", "ramp.1.weightBp: ", (s) => (s.ramp[1]!["weightBp"] = 10_001)],
    [
      "a weight that the plan does not have",
      "ramp.1.weightBp: is not that of its stage",
      (s) => (s.ramp[1]!["weightBp"] = 9000),
    ],
    ["a time that is no number", "ramp.0.at: ", (s) => (s.ramp[0]!["at"] = null)],
    ["a ramp that goes back in time", "ramp.2.at: must not be before", (s) => (s.ramp[2]!["at"] = 0)],
    ["a stage twice", "ramp.2.stage: must be above", (s) => (s.ramp[2] = s.ramp[1]!)],
    ["a stage beyond the plan", "ramp.2.weightBp: is not that", (s) => (s.ramp[2]!["stage"] = 40)],
    ["a ramp without end", "ramp: ", (s) => (s.ramp = Array.from({ length: 65 }, () => s.ramp[0]!))],
    ["no ramp for a canary", "ramp: is empty exactly before", (s) => (s.ramp = [])],
    ["a canary before the first generation", "canary: is null exactly before", (s) => (s["generation"] = 0)],
    ["promoted below 100 %", "ended: is promoted below 100 %", (s) => (s["ended"] = { kind: "promoted", at: 1 })],
    ["another rollout's spec", "rollout: is not the spec's, other", (s) => (s.spec["rollout"] = "other")],
    ["another stable than the spec's", "stable: is not the spec's, 1", (s) => (s["stable"] = "0")],
    ["another canary than the spec's", "canary: is not the spec's, 2", (s) => (s["canary"] = "3")],
    ["a version that leaves its folder", "stable: ", (s) => (s["stable"] = "../../etc")],
    ["a spec without stages", "spec.stages: ", (s) => (s.spec["stages"] = [])],
    ["a spec that never ends", "spec.stages: must end at 10000", (s) => (s.spec["stages"] as Json[]).pop()],
    [
      "a spec without an enforced criterion",
      "spec.criteria: must enforce",
      (s) => ((s.spec["criteria"] as Json[])[0]!["mode"] = "notify"),
    ],
    ["a rate beyond 1", "spec.criteria.0.max: must be a rate", (s) => ((s.spec["criteria"] as Json[])[0]!["max"] = 50)],
    [
      "a hold twice",
      "holds: names a reason twice",
      (s) =>
        (s["holds"] = [
          { reason: "srm", since: 1 },
          { reason: "srm", since: 2 },
        ]),
    ],
    [
      "an approval of no stage",
      "approvals.0.stage: is no stage",
      (s) => (s["approvals"] = [{ stage: 9, by: "x", reason: "", at: 1 }]),
    ],
    ["an event name that would flood a metric", "last.event: ", (s) => (s.last["event"] = "x".repeat(99))],
    ["an unknown key in the verdict", "last.verdict: Unrecognized key", (s) => ((s.last["verdict"] as Json)["x"] = 1)],
  ])("is refused: %s", (_name, expected, change) => {
    expect(problemsOf(edited(change)).join("\n")).toContain(expected)
  })

  it("is told about at most twenty problems", () => {
    const text = edited((s) => (s["holds"] = Array.from({ length: 16 }, () => ({ reason: 1, since: "x" }))))
    expect(problemsOf(text)).toHaveLength(20)
  })
})
