import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { OUTCOMES, SCAN_RESULTS } from "../../src/model/decision.js"
import { CAP, Counts, countsOf } from "./interleavings/model.js"
import type { ModelSession, Turn } from "./interleavings/model.js"
import { readMetrics, verify, verifyPairs } from "./interleavings/expectations.js"
import { steps } from "./interleavings/steps.js"
import type { Mode, Script, Step } from "./interleavings/steps.js"
import { createWorld, meaning, QUEUE } from "./interleavings/world.js"
import type { World, WorldOptions } from "./interleavings/world.js"
import { runs } from "../runs.js"

interface Job {
  readonly kind: "calls" | "scans"
  readonly session: ModelSession
  readonly turn: Turn
  readonly own: number
  readonly other: number
  /** Every answer of the canary before it is compared. */
  readonly known: boolean
}

const FAILED = 3

/** The canary serves every session that began when this one did. */
const isAlone = ({ told, stratum }: Turn): boolean => told.state?.ramp[stratum - 1]?.weightBp === 10_000

/** In a synchronous guard the pairs can be told to the last one: the queue runs when the event loop does. */
function createPairs(world: World) {
  let jobs: Job[] = []
  const pairs = new Counts()
  const shadow = { judged: 0, dropped: 0 }
  const evaluations = new Map<ModelSession, { generation: number; n: number }>()
  const texts = new Map<ModelSession, { generation: number; n: number }>()
  let closed = false
  world.onCleared(() => (jobs = []))

  function judge(version: string | null, scripts: readonly Script<string>[], words: readonly string[]): number {
    if (version === null) return FAILED
    const script = scripts[Number(version[0]) - 1]!
    const verdict = script.later && script.verdict !== "throw" ? null : meaning(script.verdict).verdict
    return verdict === null ? FAILED : words.indexOf(verdict)
  }

  function next(of: Map<ModelSession, { generation: number; n: number }>, session: ModelSession, turn: Turn): number {
    const { generation } = turn.told
    const before = of.get(session)
    const n = before?.generation === generation ? before.n + 1 : 1
    of.set(session, { generation, n })
    return n
  }

  function compare(job: Omit<Job, "known">, isCompared: boolean): void {
    const { session, turn, own } = job
    const acted = turn.arm === "canary" && own !== FAILED
    if (isCompared && !closed && jobs.length < QUEUE) return void jobs.push({ ...job, known: !session.lost })
    if (isCompared) shadow.dropped += 1
    // Nobody will know.
    if (acted) session.lost = true
  }

  return {
    shadow,
    pairs,
    closed: () => void (closed = true),
    evaluated(session: ModelSession, turn: Turn, scripts: readonly Script<string>[]): void {
      const { told, arm, lockdown } = turn
      const isMissing = arm === "canary" && told.canary === null
      if (lockdown || isMissing || session.kind === "sessionless") return
      const n = next(evaluations, session, turn)
      const [mine, others] = arm === "canary" ? [told.canary, told.stable] : [told.stable, told.canary]
      const [own, other] = [mine, others].map((version) => judge(version, scripts, OUTCOMES)) as [number, number]
      // What failed is compared with what stable answered for it; a stable that failed has nobody who did.
      const hasOther = own === FAILED ? arm === "canary" : others !== null
      compare({ kind: "calls", session, turn, own, other }, turn.sampled && n <= CAP && hasOther)
    },
    scanned(session: ModelSession, turn: Turn, scripts: readonly Script<string>[]): void {
      const { told, arm, lockdown } = turn
      const [mine, others] = arm === "canary" ? [told.canary, told.stable] : [told.stable, told.canary]
      if (lockdown || mine === null) return
      const [own, other] = [mine, others].map((version) => judge(version, scripts, SCAN_RESULTS)) as [number, number]
      // A stable release that is not there has not scanned for a canary that failed.
      const isCompared = turn.sampled && others !== null && (own !== FAILED || arm === "canary")
      compare({ kind: "scans", session, turn, own, other }, isCompared && next(texts, session, turn) <= CAP)
    },
    drained(): void {
      const { generation } = world.told()
      for (const { kind, session, turn, own, other, known } of jobs.splice(0)) {
        if (turn.told.generation !== generation) continue
        const [s, c] = turn.arm === "stable" ? [own, other] : [other, own]
        shadow.judged += 1
        const isStables = known && !session.disagreed && (turn.arm === "stable" || isAlone(turn))
        const array = kind === "scans" ? (isStables ? "scanPairs" : null) : isStables ? "pairs" : "pairsAfter"
        if (array !== null) pairs.add(generation, turn.stratum, array, turn.cohort, s, c)
        if (isStables && session.pair(generation, kind)) {
          pairs.add(generation, turn.stratum, kind === "scans" ? "scanSessions" : "sessions", turn.cohort)
        }
        if (s !== c && turn.arm === "canary" && c !== FAILED) session.disagreed = true
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

  const isEvaluation = (step: Step): boolean => step.do === "evaluate"
  for (const [i, chosen] of all.entries()) {
    const step = chosen.do === "again" ? all.slice(0, i).findLast(isEvaluation) : chosen
    if (step === undefined) continue
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
      case "reset fuse":
        world.resetFuse()
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
    const looksForTracer = world.isClosed() ? 0 : 1
    const looksForMeter = options.sink ? 0 : looksForTracer
    const looks = looksForMeter + looksForTracer
    expect(world.clock.pending(), "a timer for what is waited for, and no other").toBe(open + looks)
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

const PLAIN = { onStableError: "deny", start: "whole", sink: true, fuse: false } as const
/** Too rare to wait for. */
const ASKED_AGAIN_UNDER_LOCKDOWN: Step[] = [
  { do: "evaluate", session: 1, callId: "a", times: 1, scripts: ALLOW },
  { do: "change", change: "kill deny", weightBp: 0 },
  { do: "again" },
]

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
    fuse: fc.boolean(),
  })

describe("whatever happens in whatever order, calls are answered, arms hold and counts add up", () => {
  it.each<Mode>(["sync", "async", "wrap"])("with a guard that is used as %s", { timeout: 120_000 }, async (mode) => {
    await fc.assert(
      fc.asyncProperty(options(mode), steps, (world, all) => play(world, all)),
      {
        examples: [[{ mode, ...PLAIN }, ASKED_AGAIN_UNDER_LOCKDOWN]],
        numRuns: runs(30),
        seed: 11,
      },
    )
  })
})
