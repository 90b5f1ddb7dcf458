import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { createWritingFollower } from "../../src/controller/writing-follower.js"
import { createLeader } from "../../src/controller/leader.js"
import { act, ensureState, newSalt, readState } from "../../src/controller/verbs.js"
import { isSerinError } from "../../src/errors.js"
import { isContained, phaseOf, servesCanary } from "../../src/rollout/phase.js"
import type { Actor, Kill, RolloutState } from "../../src/rollout/state.js"
import type { RolloutEvent } from "../../src/rollout/transition.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { spec, T0 } from "../guard/harness.js"
import { expectChained } from "./chained.js"
import { paired } from "./evidence.js"
import { unreliable } from "./unreliable.js"
import type { Weather } from "./unreliable.js"
import { runs } from "../runs.js"

const ada = { kind: "human", id: "ada" } as const
const bob = { kind: "human", id: "bob" } as const
const reason = "because"

type Verb =
  | "pause"
  | "resume"
  | "rollback"
  | "contain"
  | "kill stable"
  | "kill deny"
  | "promote"
  | "promote end"
  | "retry"
  | "start"
type Step =
  | { readonly do: "elsewhere"; readonly verb: Verb }
  | { readonly do: "here"; readonly verb: Verb }
  | { readonly do: "breach" | "tick" | "poll" }
  | { readonly do: "weather"; readonly weather: Weather }
  | { readonly do: "wait"; readonly ms: number }

const verb = fc.constantFrom<Verb>(
  "pause",
  "resume",
  "rollback",
  "contain",
  "kill stable",
  "kill deny",
  "promote",
  "promote end",
  "retry",
  "start",
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: verb.map((verb) => ({ do: "elsewhere", verb }) as const) },
  { weight: 3, arbitrary: verb.map((verb) => ({ do: "here", verb }) as const) },
  {
    weight: 4,
    arbitrary: fc.constantFrom({ do: "breach" } as const, { do: "tick" } as const, { do: "poll" } as const),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom<Weather>("fine", "down", "stalled", "deaf", "read-only")
      .map((weather) => ({ do: "weather", weather }) as const),
  },
  { weight: 2, arbitrary: fc.constantFrom(500, 2000, 5000).map((ms) => ({ do: "wait", ms }) as const) },
)

/** What this process took away: from then on its canary is off, until a human begins again in the store. */
interface Taken {
  readonly by: "rollback" | "contain" | "kill" | "breach"
  readonly generation: number
  /** Newest revision of the store at that time. */
  readonly revision: number
}

async function play(steps: readonly Step[]) {
  const clock = fakeClock(T0)
  const inner = memoryStore()
  const { store, turn } = unreliable(inner)
  const stored = async (): Promise<RolloutState> => (await readState(inner, "demo"))!
  let version = 2
  let breach = false
  let taken: Taken | null = null
  /** Newest revision of the store when this process locked down. */
  let locked: number | null = null
  /** The same when it contained, and the generation that it knew then. */
  let contained: { readonly revision: number; readonly generation: number } | null = null

  function eventOf(verb: Verb, actor: Actor): RolloutEvent {
    switch (verb) {
      case "kill stable":
        return { type: "kill", position: "stable", actor, reason }
      case "kill deny":
        return { type: "kill", position: "deny", actor, reason }
      case "promote end":
        return { type: "promote", to: "end", actor, reason }
      case "retry":
        return { type: "retry", salt: newSalt(), actor, reason }
      case "start":
        return { type: "start", spec: { ...spec, canary: `${++version}.0.0` }, salt: newSalt(), actor, reason }
      default:
        return { type: verb, actor, reason }
    }
  }

  await ensureState(inner, spec, ada, T0)
  await act(inner, "demo", eventOf("start", ada), () => clock.now())
  await act(inner, "demo", eventOf("promote", ada), () => clock.now())
  const follower = await createWritingFollower({ store, rollout: "demo", clock })
  const local = (): RolloutState => follower.current()!
  const read = () => {
    const { generation, ramp } = local()
    return Promise.resolve(paired(generation, ramp.length + 1, 40, (n) => breach && n % 2 === 0))
  }
  const leader = createLeader({
    store: store,
    rollout: "demo",
    follower,
    clock,
    actor: { kind: "controller", id: "test" },
    source: { read },
  })

  /** Whether the store had a kill, then or since: whoever lifted it knew. */
  async function wasKilledSince(revision: number, positions: readonly Kill[]): Promise<boolean> {
    for await (const past of inner.history("demo/state")) {
      if (past.revision < revision) return false
      if (positions.includes((JSON.parse(past.envelope) as RolloutState).kill)) return true
    }
    return false
  }

  /** Whether the store had what ends a containment, then or since: each takes a human, or is stricter still. */
  async function wasReleasedSince(revision: number): Promise<boolean> {
    for await (const past of inner.history("demo/state")) {
      if (past.revision < revision) return false
      const { kill, ended, last } = JSON.parse(past.envelope) as RolloutState
      if (kill !== "off" || last.event === "retry" || last.event === "start") return true
      if (ended?.kind === "rolled_back" && last.actor.kind === "human") return true
    }
    return false
  }

  async function check(): Promise<void> {
    if (contained !== null && !isContained(local())) {
      // A human may have begun anew before, unseen here: that canary is not the one that was contained.
      const begunAnew = local().generation > contained.generation
      expect(begunAnew || local().kill !== "off" || (await wasReleasedSince(contained.revision))).toBe(true)
      contained = null
    }
    if (locked !== null && local().kill !== "deny") {
      expect(await wasKilledSince(locked, ["deny"])).toBe(true)
      locked = null
    }
    if (taken === null || !servesCanary(local())) return
    const now = await stored()
    const begunAnew = now.generation > taken.generation
    if (taken.by === "kill") expect(begunAnew && (await wasKilledSince(taken.revision, ["stable", "deny"]))).toBe(true)
    else if (taken.by === "rollback" || taken.by === "contain") expect(begunAnew).toBe(true)
    else expect(begunAnew || phaseOf(now).phase === "promoted").toBe(true)
    taken = null
  }

  async function take(by: Taken["by"], work: () => Promise<unknown>): Promise<void> {
    const { generation } = local()
    const { revision } = await stored()
    const served = servesCanary(local())
    void work().catch((error: unknown) => expect(isSerinError(error)).toBe(true))
    await clock.settle()
    if (served && !servesCanary(local())) taken ??= { by, generation, revision }
  }

  for (const next of steps) {
    switch (next.do) {
      case "elsewhere":
        await act(inner, "demo", eventOf(next.verb, ada), () => clock.now()).catch((error: unknown) => {
          expect(isSerinError(error) && error.code).toBe("TRANSITION_REFUSED")
        })
        break
      case "here": {
        const by = next.verb.startsWith("kill") ? "kill" : next.verb === "contain" ? "contain" : "rollback"
        const { revision } = await stored()
        const { generation } = local()
        await take(by, () => follower.act(eventOf(next.verb, bob)))
        if (next.verb === "contain" && isContained(local())) contained ??= { revision, generation }
        if (next.verb === "kill deny" && local().kill === "deny") locked ??= revision
        break
      }
      case "breach":
        breach = true
        await take("breach", () => leader.tick())
        breach = false
        break
      case "tick":
        void leader.tick()
        break
      case "poll":
        void follower.poll()
        break
      case "weather":
        turn(next.weather)
        break
      case "wait":
        clock.advance(next.ms)
        break
    }
    await clock.settle()
    await check()
  }

  turn("fine")
  for (let beats = 0; beats < 4; beats++) {
    clock.advance(5000)
    await clock.settle()
    await check()
  }
  expect(follower.status()).toMatchObject({ pending: [], problem: undefined })
  expect(local()).toEqual(await stored())
  await expectChained(inner, "demo")
  const report = await leader.tick()
  expect(report.at).toBe(clock.now())
  await leader.close()
  follower.close()
}

describe("whatever happens in whatever order", () => {
  it("what was taken away stays away until a human begins again, and in the end this process and the store agree, on a history without a gap", async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 20 }), play), { numRuns: runs(80) })
  })
})
