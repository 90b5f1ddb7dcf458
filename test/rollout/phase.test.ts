import { describe, expect, it } from "vitest"
import { armWeights, phaseOf, servesCanary } from "../../src/rollout/phase.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { transition } from "../../src/rollout/transition.js"
import { at, HUMAN, idle, NOW, since, started } from "./states.js"

const asked = { actor: HUMAN, reason: "because" }
const killed = (state: RolloutState) => transition(state, { type: "kill", position: "stable", ...asked }, NOW + 7)
const rolledBack = (state: RolloutState) => transition(state, { type: "rollback", ...asked }, NOW + 5)
const contained = (state: RolloutState) => transition(state, { type: "contain", ...asked }, NOW + 8)
const promoted = (state: RolloutState) => transition(state, { type: "promote", to: "end", ...asked }, NOW + 6)

describe("phaseOf", () => {
  it.each([
    ["idle", idle(), { phase: "idle" }],
    ["shadow", started(), { phase: "shadow", since: NOW, stage: 0 }],
    ["canary", started("shadow: false"), { phase: "canary", since: NOW + 10_000, stage: 0, weightBp: 500 }],
    ["baking", at(started(), 10_000), { phase: "baking", since: since(at(started(), 10_000)), stage: 3 }],
    ["promoted", promoted(started()), { phase: "promoted", at: NOW + 6 }],
    ["rolled_back", rolledBack(started()), { phase: "rolled_back", at: NOW + 5 }],
    ["contained", contained(started()), { phase: "contained", at: NOW + 8 }],
    ["contained after a rollback", contained(rolledBack(started())), { phase: "contained", at: NOW + 8 }],
    ["killed over contained", killed(contained(started())), { phase: "killed", at: NOW + 7, position: "stable" }],
    ["killed over shadow", killed(started()), { phase: "killed", at: NOW + 7, position: "stable" }],
    ["killed over idle", killed(idle()), { phase: "killed", at: NOW + 7, position: "stable" }],
    ["killed over promoted", killed(promoted(started())), { phase: "killed", at: NOW + 7, position: "stable" }],
  ] as const)("is %s", (_name, state, phase) => {
    expect(phaseOf(state)).toEqual(phase)
  })
})

describe("servesCanary", () => {
  it("is false when idle, rolled back, contained or killed, whatever the ramp says", () => {
    const baking = at(started(), 10_000)
    for (const state of [idle(), rolledBack(baking), contained(baking), killed(baking), killed(promoted(baking))]) {
      expect(servesCanary(state)).toBe(false)
      expect(armWeights(state, Number.MAX_SAFE_INTEGER)).toEqual({ stable: 10_000, canary: 0 })
    }
    expect(servesCanary(baking)).toBe(true)
    expect(servesCanary(promoted(baking))).toBe(true)
  })
})

describe("armWeights", () => {
  it("go by the ramp entry in force when the session starts", () => {
    const state = at(started(), 2500)
    const [, five, twentyFive] = state.ramp
    expect(armWeights(state, NOW - 1)).toEqual({ stable: 10_000, canary: 0 })
    expect(armWeights(state, NOW)).toEqual({ stable: 10_000, canary: 0 })
    expect(armWeights(state, (five?.at ?? 0) - 1)).toEqual({ stable: 10_000, canary: 0 })
    expect(armWeights(state, five?.at ?? 0)).toEqual({ stable: 9500, canary: 500 })
    expect(armWeights(state, twentyFive?.at ?? 0)).toEqual({ stable: 7500, canary: 2500 })
  })
})
