import { describe, expect, it } from "vitest"
import { digestOf } from "../../src/rollout/digests.js"
import { checkEvent } from "../../src/rollout/event-fields.js"
import type { GateReport } from "../../src/rollout/gate.js"
import { parseSpec } from "../../src/rollout/spec.js"
import { initialState, parseState, serializeState } from "../../src/rollout/state.js"
import { transition } from "../../src/rollout/transition.js"

const actor = { kind: "human", id: "ada" } as const
const specOf = (stable: string, canary: string, more = "") =>
  parseSpec(
    `rollout: r\nstable: "${stable}"\ncanary: { release: "${canary}", acceptance_criteria: { error_rate_max: 0.1 }${more} }`,
    { path: "r.yaml" },
  )
const hex = (digit: string) => `sha256:${digit.repeat(64)}`
const start = (stable: string, canary: string, more: object = {}) =>
  ({ type: "start", spec: specOf(stable, canary), salt: "s", actor, reason: "r", ...more }) as const
const idle = initialState(specOf("1", "2"), 0, "salt", actor)
const pinned = transition(idle, start("1", "2", { digests: { stable: hex("1"), canary: hex("2") } }), 1)

describe("a state means releases by their digests", () => {
  it("of the event that began its generation, by version", () => {
    expect(parseState(serializeState(pinned)).digests).toEqual({ stable: hex("1"), canary: hex("2") })
    expect(["1", "2", "3", "constructor"].map((version) => digestOf(pinned, version))).toEqual([
      hex("1"),
      hex("2"),
      undefined,
      undefined,
    ])
  })

  it("and whoever says nothing of digests lifts none: those of versions that go on stay", () => {
    const promoted = transition(pinned, { type: "promote", to: "end", actor, reason: "r" }, 2)
    const next = transition(promoted, start("2", "3"), 3)
    expect(next.digests).toEqual({ stable: hex("2") })
    const back = transition(pinned, { type: "rollback", actor, reason: "r" }, 2)
    expect(transition(back, { type: "retry", salt: "t", actor, reason: "r" }, 3).digests).toEqual(pinned.digests)
    expect(transition(back, { type: "retry", salt: "t", actor, reason: "r", digests: {} }, 3).digests).toEqual({})
    expect(transition(pinned, { type: "kill", position: "deny", actor, reason: "r" }, 2).digests).toEqual(
      pinned.digests,
    )
  })

  it("those that were replayed at its gate, and refuses to mean others than that", () => {
    const spec = specOf("1", "2", ", gate: { replay: calls.jsonl }")
    const gate: GateReport = {
      stable: { version: "1", digest: hex("3") },
      canary: { version: "2", digest: "not a digest\u0000" },
      calls: 1,
      differing: 0,
      budgets: [{ criterion: "error_rate_max", max: 0.1, measured: 0, result: "within" }],
    }
    expect(transition(idle, { ...start("1", "2"), spec, gate }, 1).digests).toEqual({ stable: hex("3") })
    const other = { ...start("1", "2"), spec, gate, digests: { stable: hex("4") } }
    expect(() => transition(idle, other, 1)).toThrow(
      /stable release that was replayed is sha256:3+, not sha256:4+: its files changed/,
    )
  })

  it("and takes nothing for a digest that is none, nor one of no canary", () => {
    for (const digests of [{ canary: 7 }, { other: hex("1") }, "sha256:1", { stable: "a b" }, { stable: "" }]) {
      expect(() => checkEvent(start("1", "2", { digests }))).toThrow(/event.digests must be/)
      expect(() => parseState(JSON.stringify({ ...pinned, digests }))).toThrow(/digests/)
    }
    checkEvent(start("1", "2", { digests: { stable: undefined } }))
    expect(() => parseState(JSON.stringify({ ...idle, digests: { canary: hex("1") } }))).toThrow(
      /digests.canary: is of no canary/,
    )
  })
})
