import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { OUTCOMES } from "../../src/model/decision.js"
import { CAP, Counts, countsOf } from "./interleavings/model.js"
import type { ModelSession, Turn } from "./interleavings/model.js"
import { readMetrics, verify, verifyPairs } from "./interleavings/expectations.js"
import { steps } from "./interleavings/steps.js"
import type { Mode, Script, Step } from "./interleavings/steps.js"
import { createWorld, meaning, QUEUE } from "./interleavings/world.js"
import type { World, WorldOptions } from "./interleavings/world.js"

/** In a synchronous guard the pairs can be told to the last one: the queue runs when the event loop does. */
function createPairs(world: World) {
  let jobs: { session: ModelSession; turn: Turn; own: number; other: number }[] = []
  const pairs = new Counts()
  const shadow = { judged: 0, dropped: 0 }
  const evaluations = new Map<ModelSession, { generation: number; n: number }>()
  let closed = false
  world.onCleared(() => (jobs = []))

  const outcome = (script: Script<string>): string | null =>
    script.later && script.verdict !== "throw" ? null : meaning(script.verdict).verdict
  const index = (verdict: string | null): number => (verdict === null ? 3 : OUTCOMES.indexOf(verdict as "allow"))

  return {
    shadow,
    pairs,
    closed: () => void (closed = true),
    evaluated(session: ModelSession, turn: Turn, scripts: readonly Script<string>[]): void {
      const { told, arm, lockdown } = turn
      const judge = (version: string | null): number =>
        version === null ? 3 : index(outcome(scripts[Number(version[0]) - 1]!))
      const isMissing = arm === "canary" && told.canary === null
      if (lockdown || isMissing || session.kind === "sessionless") return
      const before = evaluations.get(session)
      const n = before?.generation === told.generation ? before.n + 1 : 1
      evaluations.set(session, { generation: told.generation, n })
      const own = judge(arm === "canary" ? told.canary : told.stable)
      const other = judge(arm === "canary" ? told.stable : told.canary)
      if (!turn.sampled || n > CAP) return
      // What failed is compared with what stable answered for it; a stable that failed has nobody who did.
      if (own === 3 ? arm === "stable" : (arm === "canary" ? told.stable : told.canary) === null) return
      if (!closed && jobs.length < QUEUE) return void jobs.push({ session, turn, own, other })
      shadow.dropped += 1
      if (arm === "canary") session.disagreed = true
    },
    scanned(session: ModelSession, { arm, told, lockdown }: Turn, scripts: readonly Script<string>[]): void {
      if (arm !== "canary" || told.canary === null || lockdown) return
      const verdict = outcome(scripts[Number(told.canary[0]) - 1]!)
      if (verdict === "flagged" || verdict === "blocked") session.disagreed = true
    },
    drained(): void {
      const { generation } = world.told()
      for (const { session, turn, own, other } of jobs.splice(0)) {
        if (turn.told.generation !== generation) continue
        const [s, c] = turn.arm === "stable" ? [own, other] : [other, own]
        shadow.judged += 1
        const kind = session.disagreed ? "pairsAfter" : "pairs"
        pairs.add(generation, turn.stratum, kind, turn.cohort, s, c)
        if (kind === "pairs" && session.pair(generation)) pairs.add(generation, turn.stratum, "sessions", turn.cohort)
        if (s !== c && turn.arm === "canary" && c !== 3) session.disagreed = true
      }
    },
    verify(): void {
      const { generation } = world.guard.evidence()
      const mine = Object.entries(pairs.toObject()).filter(([key]) => key.startsWith(`${generation} `))
      const expected = Object.fromEntries(mine.map(([key, value]) => [key.slice(key.indexOf(" ") + 1), value]))
      expect(countsOf(world.guard.evidence()).pairs).toEqual(expected)
      const told = readMetrics(world)?.counts.toObject()
      if (told === undefined) return
      expect(told["serin.shadow judged"] ?? 0).toBe(shadow.judged)
      expect(told["serin.shadow dropped"] ?? 0).toBe(shadow.dropped)
    },
  }
}

async function play(options: WorldOptions, all: readonly Step[]): Promise<void> {
  const world = createWorld(options)
  const pairs = options.mode === "sync" ? createPairs(world) : null
  /** Sessions that were ever seen on stable after their first word. */
  const onStable = new Set<ModelSession>()

  function checkArms(): void {
    for (const session of world.sessions) {
      if (session.startedAt === undefined || session.kind === "sessionless") continue
      const { arm } = world.find(session)
      expect(arm, `arm of ${session.id}`).toBe(session.look(world.told()).arm)
      if (session.latched) onStable.add(session)
      if (onStable.has(session)) expect(arm, "a session never comes back to the canary").toBe("stable")
    }
  }

  for (const step of all) {
    switch (step.do) {
      case "evaluate":
        for (let i = 0; i < step.times; i++) {
          const { session, turn, scripts } = world.evaluate(step)
          if (turn !== null) pairs?.evaluated(session, turn, scripts)
          await world.microtasks()
        }
        break
      case "scan": {
        const { session, turn, scripts } = world.scan(step)
        pairs?.scanned(session, turn!, scripts)
        break
      }
      case "observe":
        world.observe(step)
        break
      case "change":
        world.change(step)
        break
      case "release":
        world.release(step.version, step.present)
        break
      case "answer":
        await world.answer(step.which, step.race)
        break
      case "advance":
        await world.advance(step.ms)
        break
      case "wall":
        world.wall(step.ms)
        break
      case "drain":
        pairs?.drained()
        await world.drain()
        pairs?.verify()
        break
      case "close":
        world.close()
        pairs?.closed()
        break
    }
    await world.microtasks()
    checkArms()
    const open = world.asks.filter(({ resolution, limit }) => resolution === null && limit !== Infinity).length
    const looksForMeter = options.sink || world.isClosed() ? 0 : 1
    expect(world.clock.pending(), "a timer for what is waited for, and no other").toBe(open + looksForMeter)
  }
  pairs?.drained()
  await world.end()
  verify(world)
  verifyPairs(world)
  pairs?.verify()
  world.close()
  expect(world.clock.pending(), "timers after close").toBe(0)
  expect(world.reader.listeners(), "listeners after close").toBe(0)
  await world.guard.idle()
  const { asks } = world
  const before = asks.length
  for (const session of world.sessions) {
    world.evaluate({
      do: "evaluate",
      session: world.sessions.indexOf(session),
      callId: undefined,
      times: 1,
      scripts: ALLOW,
    })
  }
  await world.drain()
  expect(
    asks.slice(before).every(({ served }) => served),
    "no shadow after close",
  ).toBe(true)
}

const allow = { verdict: "allow", later: false } as const
const ALLOW = [allow, allow, allow] as const

const options = (mode: Mode): fc.Arbitrary<WorldOptions> =>
  fc.record({
    mode: fc.constant(mode),
    onStableError: fc.constantFrom("deny" as const, "escalate" as const, "throw" as const),
    start: fc.constantFrom(
      "whole" as const,
      "whole" as const,
      "whole" as const,
      "no stable" as const,
      "no state" as const,
    ),
    sink: fc.boolean(),
  })

describe("whatever happens in whatever order, calls are answered, arms hold and counts add up", () => {
  it.each<Mode>(["sync", "async", "wrap"])("with a guard that is used as %s", { timeout: 120_000 }, async (mode) => {
    await fc.assert(
      fc.asyncProperty(options(mode), steps, (world, all) => play(world, all)),
      { numRuns: Number(process.env["INTERLEAVINGS"] ?? 60), seed: 11 },
    )
  })
})
