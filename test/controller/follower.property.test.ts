import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isSerinError } from "../../src/errors.js"
import { serializeState } from "../../src/rollout/state.js"
import type { Kill } from "../../src/rollout/state.js"
import type { RolloutEvent } from "../../src/rollout/transition.js"
import { runs } from "../runs.js"
import { createFleet } from "./fleet.js"
import type { Weather } from "./fleet.js"

const ada = { kind: "human", id: "ada" } as const
const LEASE_MS = 15_000
/** A stall that begins right after a look, one read that hangs, and the next. */
const SILENT_STALL_MS = 8000
const STRICTNESS: Readonly<Record<Kill, number>> = { off: 0, stable: 1, deny: 2 }

type Verb = "pause" | "rollback" | "promote" | "kill stable" | "kill deny" | "retry"
type Forgery = "none" | "garbage" | "the first state" | "another salt"
type Step =
  | { readonly do: "weather"; readonly weather: Weather }
  | { readonly do: "forge"; readonly forgery: Forgery }
  | { readonly do: "lead"; readonly leads: boolean; readonly anew: boolean }
  | { readonly do: "verb"; readonly verb: Verb }
  | { readonly do: "pass"; readonly ms: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc
    .constantFrom<Weather>("fine", "fine", "down", "stalled", "frozen")
    .map((weather) => ({ do: "weather", weather }) as const),
  fc
    .constantFrom<Forgery>("none", "none", "garbage", "the first state", "another salt")
    .map((forgery) => ({ do: "forge", forgery }) as const),
  fc.record({ do: fc.constant("lead" as const), leads: fc.boolean(), anew: fc.boolean() }),
  fc
    .constantFrom<Verb>("pause", "rollback", "promote", "kill stable", "kill deny", "retry", "retry")
    .map((verb) => ({ do: "verb", verb }) as const),
  { weight: 5, arbitrary: fc.constantFrom(250, 3000, 9000).map((ms) => ({ do: "pass", ms }) as const) },
)

function eventOf(verb: Verb): RolloutEvent {
  const asked = { actor: ada, reason: "" }
  if (verb === "kill stable" || verb === "kill deny") {
    return { type: "kill", position: verb === "kill deny" ? "deny" : "stable", ...asked }
  }
  return verb === "retry" ? { type: "retry", salt: "salt", ...asked } : { type: verb, ...asked }
}

async function play(steps: readonly Step[]): Promise<void> {
  const fleet = createFleet()
  const first = serializeState(await fleet.begin())
  fleet.lead(true)
  const { guard } = await fleet.process()
  let epoch = 1
  let leads = true
  let weather: Weather = "fine"
  let forged = false
  /** Since when the process could have heard of anything, and when it last could. */
  let openSince: number | null = fleet.clock.monotonic()
  let lastOpen = fleet.clock.monotonic()
  let lastLed = fleet.clock.monotonic()
  let killedAt: number | null = null
  let killed: Kill = "off"
  let revision = 0
  const servedByStable = new Set<string>()

  function note(): void {
    const now = fleet.clock.monotonic()
    if (leads) lastLed = now
    if (weather === "fine") lastOpen = now
    if (weather === "fine" && !forged) openSince ??= now
    else openSince = null
  }

  function check(): void {
    const now = fleet.clock.monotonic()
    const { state } = guard.status()
    expect(state!.revision).toBeGreaterThanOrEqual(revision)
    revision = state!.revision
    if (openSince !== null && killedAt !== null && now - Math.max(openSince, killedAt) > SILENT_STALL_MS) {
      expect(STRICTNESS[state!.kill]).toBeGreaterThanOrEqual(STRICTNESS[killed])
    }
    for (let n = 0; n < 40; n++) {
      const id = `session-${n}`
      const { rule, source } = guard.session(id).evaluate({ action: "x" })
      if (state!.kill === "deny") expect(source).toBe("lockdown")
      if (rule === "2.0.0") {
        expect(state!.kill).toBe("off")
        expect(now - lastLed).toBeLessThan(LEASE_MS + 250)
        expect(now - lastOpen).toBeLessThan(LEASE_MS + 250)
        expect(servedByStable.has(id)).toBe(false)
      } else if (source === "policy") servedByStable.add(id)
    }
  }

  for (const next of steps) {
    if (next.do === "weather") fleet.turn((weather = next.weather))
    else if (next.do === "lead") {
      leads = next.leads
      fleet.lead(leads, next.anew ? ++epoch : epoch)
    } else if (next.do === "forge") {
      forged = next.forgery !== "none"
      // Of what this process has in force: of a revision that it has not seen, what comes first is what it takes.
      const other = serializeState({ ...guard.status().state!, salt: "other" })
      fleet.forge({ none: null, garbage: "{", "the first state": first, "another salt": other }[next.forgery])
    } else if (next.do === "verb") {
      await fleet.elsewhere(eventOf(next.verb)).catch((error: unknown) => expect(isSerinError(error)).toBe(true))
      const { kill } = await fleet.state()
      if (kill !== killed) killedAt = kill === "off" ? null : fleet.clock.monotonic()
      killed = kill
    }
    note()
    for (let passed = 0; next.do === "pass" && passed < next.ms; passed += 250) {
      await fleet.pass(250)
      note()
      check()
    }
  }

  fleet.turn("fine")
  fleet.forge(null)
  await fleet.pass(SILENT_STALL_MS)
  expect(guard.status().state).toEqual(await fleet.state())
  expect(guard.status().follower.problem).toBeUndefined()
  await fleet.close()
  expect(fleet.clock.pending()).toBe(0)
}

describe("a process that follows, whatever the way to the store does", () => {
  it("never goes back, hears of a kill in time, and serves no canary that nobody leads", async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 16 }), play), { numRuns: runs(10) })
  })
})
