import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isSerinError } from "../../src/errors.js"
import type { TickEvent } from "../../src/rollout/event.js"
import { armWeights, isContained, isDecrease, phaseOf, servesCanary } from "../../src/rollout/phase.js"
import type { RolloutSpec } from "../../src/rollout/spec.js"
import { initialState, parseState, serializeState, type RolloutState } from "../../src/rollout/state.js"
import { transition, type RolloutEvent } from "../../src/rollout/transition.js"
import { CONTROLLER, HOUR, HUMAN, NOW, specOf, verdictOf } from "./states.js"
import { runs } from "../runs.js"

interface Step {
  readonly before: RolloutState
  readonly event: RolloutEvent
  readonly now: number
  readonly after: RolloutState
}

const read = new Map<string, RolloutSpec>()

function readOnce(...lines: string[]): RolloutSpec {
  const key = lines.join("\n")
  const spec = read.get(key) ?? specOf(...lines)
  read.set(key, spec)
  return spec
}

const specs = fc
  .record({
    shadow: fc.constantFrom("shadow: true", "shadow: false", "shadow: { approval: true }"),
    stages: fc.constantFrom(
      "stages: [5, 100]",
      "stages: [1, { percentage: 10, approval: true }, 100]",
      "stages: [100]",
    ),
    max: fc.constantFrom("max_stage_duration: 3h", "max_stage_duration: 100d"),
    failure: fc.constantFrom("on_failure: rollback", "on_failure: hold", "on_failure: contain"),
    inconclusive: fc.constantFrom("on_inconclusive: hold", "on_inconclusive: extend", "on_inconclusive: rollback"),
    noData: fc.constantFrom("on_no_data: hold", "on_no_data: rollback"),
    versions: fc.constantFrom(["1", "2"], ["1", "3"], ["2", "3"], ["2", "1"], ["3", "4"]),
  })
  .map(({ shadow, stages, max, failure, inconclusive, noData, versions }): RolloutSpec => {
    const spec = readOnce(shadow, stages, max, failure, inconclusive, noData, "bake_period: 30m")
    return { ...spec, stable: versions[0]!, canary: versions[1]! }
  })

const actor = fc.constantFrom(HUMAN, HUMAN, CONTROLLER)
const asked = { actor, reason: fc.string({ maxLength: 20 }) }
const salt = fc.string({ minLength: 1, maxLength: 10 })
const result = fc.constantFrom(
  "pass" as const,
  "pass" as const,
  "pass" as const,
  "inconclusive" as const,
  "breach" as const,
)
const generationOffset = fc.constantFrom(0, 0, 0, 0, -1, 1)
const noData = fc.constantFrom("missing" as const, "zero" as const, "errored" as const, "stale" as const)

/** An event, made for the state it meets so that verdicts mostly belong to its generation. */
type Make = (state: RolloutState) => RolloutEvent
const always = fc.oneof(
  { weight: 2, arbitrary: fc.record({ type: fc.constant("start" as const), spec: specs, salt, ...asked }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constantFrom("pause" as const, "resume" as const, "approve" as const), ...asked }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("promote" as const),
      to: fc.constantFrom("next" as const, "end" as const),
      ...asked,
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("rollback" as const), ...asked }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("contain" as const), ...asked }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant("kill" as const),
      position: fc.constantFrom("stable" as const, "deny" as const),
      ...asked,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant("retry" as const),
      salt,
      spec: fc.option(specs, { nil: undefined }),
      ...asked,
    }),
  },
)
const ticks = fc
  .record({
    result: fc.option(result, { freq: 6 }),
    noData,
    offset: generationOffset,
    sessions: fc.constantFrom(0, 1000, 1000),
    srm: fc.constantFrom(true, false, false, false),
    fuse: fc.constantFrom("why", undefined, undefined, undefined),
  })
  .map(({ result, noData, offset, sessions, srm, fuse }): Make => {
    return ({ generation }) => ({
      type: "tick",
      actor: CONTROLLER,
      noData,
      fuse,
      verdict: result === null ? null : verdictOf(result, { generation: generation + offset, sessions, srm }),
    })
  })
const leads = fc.constantFrom(-1, 0, 1).map((by): Make => {
  return ({ epoch }) => ({ type: "lead", epoch: Math.max(1, epoch + by), actor: CONTROLLER, reason: "" })
})
const makes = fc.oneof(
  { weight: 1, arbitrary: leads },
  {
    weight: 2,
    arbitrary: always.map(
      (event): Make =>
        () =>
          event as RolloutEvent,
    ),
  },
  { weight: 3, arbitrary: ticks },
)
/** Mostly onwards, at times backwards. */
const jumps = fc.constantFrom(0, 1000, HOUR, HOUR, 2 * HOUR, 3 * HOUR, -1000, -HOUR, -100 * HOUR)
const histories = fc.tuple(specs, fc.array(fc.tuple(makes, jumps), { maxLength: 60 }))

/** Run a history; events that are refused change nothing. */
function run([spec, history]: [RolloutSpec, [Make, number][]]): Step[] {
  let now = NOW
  let before = initialState(spec, now, "salt", HUMAN)
  const steps: Step[] = []
  for (const [make, jump] of history) {
    now += jump
    const event = make(before)
    try {
      const after = transition(before, event, now)
      steps.push({ before, event, now, after })
      before = after
    } catch (error) {
      if (!isSerinError(error) || error.code !== "TRANSITION_REFUSED") throw error
    }
  }
  return steps
}

const holds = (check: (step: Step) => void, numRuns = runs(300)) =>
  fc.assert(
    fc.property(histories, (history) => {
      for (const step of run(history)) check(step)
    }),
    { numRuns },
  )

const isTick = (event: RolloutEvent): event is TickEvent => event.type === "tick"
const weightOf = (state: RolloutState) => (servesCanary(state) ? (state.ramp.at(-1)?.weightBp ?? 0) : 0)
const exposure = (state: RolloutState, startedAt: number) => armWeights(state, startedAt).canary

describe("whatever happens, in whatever order, with whatever clock", () => {
  it("the histories that are tried reach every phase", () => {
    const seen = new Set<string>()
    // As many as it takes, whatever the effort.
    holds(({ after }) => void seen.add(phaseOf(after).phase), 1000)
    expect([...seen].toSorted()).toEqual([
      "baking",
      "canary",
      "contained",
      "idle",
      "killed",
      "promoted",
      "rolled_back",
      "shadow",
    ])
  })

  it("a change is exactly one revision, and no change is the same object", () => {
    holds(({ before, after }) => {
      if (after === before) return
      expect(after.revision).toBe(before.revision + 1)
      expect(JSON.stringify({ ...after, revision: 0, last: 0 })).not.toBe(
        JSON.stringify({ ...before, revision: 0, last: 0 }),
      )
    })
  })

  it("every revision says who, when, what and why", () => {
    holds(({ before, event, now, after }) => {
      if (after === before) return
      expect(after.last).toMatchObject({ at: now, actor: event.actor })
      expect(after.last.reason).toEqual(expect.any(String))
      if (isTick(event)) expect(after.last.verdict).toBe(event.verdict ?? undefined)
    })
  })

  it("a generation never goes back, and grows only by start and retry", () => {
    holds(({ before, event, after }) => {
      const grown = after.generation - before.generation
      expect(grown === 0 || (grown === 1 && (event.type === "start" || event.type === "retry"))).toBe(true)
    })
  })

  it("once killed, contained or rolled back, nobody is served by the canary until a retry, or a start of another version", () => {
    holds(({ before, event, after }) => {
      const { phase } = phaseOf(before)
      if (phase !== "killed" && phase !== "contained" && phase !== "rolled_back") return
      if (!servesCanary(after)) return
      const restarted =
        (event.type === "retry" && event.actor.kind === "human") ||
        (event.type === "start" && phase !== "killed" && after.canary !== before.canary)
      expect(restarted).toBe(true)
      expect(after.generation).toBe(before.generation + 1)
    })
  })

  it("a decrease happens in the very event that asks for it", () => {
    holds(({ event, now, after }) => {
      if (event.type !== "kill" && event.type !== "rollback" && event.type !== "contain") return
      if (event.type === "contain") expect(phaseOf(after).phase).toBe("contained")
      expect(servesCanary(after)).toBe(false)
      expect(exposure(after, now)).toBe(0)
      expect(exposure(after, now + 1000 * HOUR)).toBe(0)
    })
  })

  it("a breach of this generation rolls back at once where on_failure says so", () => {
    holds(({ before, event, after }) => {
      if (!isTick(event) || event.verdict?.result !== "breach" || event.verdict.generation !== before.generation) return
      if (!("stage" in phaseOf(before)) || before.spec.onFailure !== "rollback") return
      expect(phaseOf(after).phase).toBe("rolled_back")
    })
  })

  it("a breach of this generation contains at once where on_failure says so, and no other tick does", () => {
    holds(({ before, event, after }) => {
      if (!isTick(event)) return
      const breach = event.verdict?.result === "breach" && event.verdict.generation === before.generation
      const asks = breach && "stage" in phaseOf(before) && before.spec.onFailure === "contain"
      if (phaseOf(before).phase !== "contained") expect(phaseOf(after).phase === "contained").toBe(asks)
      if (asks) expect(after.last).toMatchObject({ event: "contain", reason: event.verdict?.reason })
    })
  })

  it("what is contained stays so until a human does something else, or a lockdown goes beyond it", () => {
    holds(({ before, event, after }) => {
      if (!isContained(before) || isContained(after)) return
      expect(event.actor.kind === "human" || after.kill === "deny").toBe(true)
    })
  })

  it("acts before it is written exactly when the canary is taken off, both are asked, or the kill switch gets stricter", () => {
    const order = ["off", "stable", "deny"]
    holds(({ before, after }) => {
      const stricter = order.indexOf(after.kill) > order.indexOf(before.kill)
      const contains = isContained(after) && !isContained(before)
      const takenOff = servesCanary(before) && !servesCanary(after)
      expect(isDecrease(before, after)).toBe(stricter || contains || takenOff)
    })
  })

  it("the controller raises exposure only by one planned stage, on a pass, after the period, unheld and approved", () => {
    holds(({ before, event, now, after }) => {
      if (!isTick(event)) return
      const advanced =
        after.ramp.length > before.ramp.length || (after.ended?.kind === "promoted" && before.ended === null)
      if (weightOf(after) > weightOf(before)) expect(advanced).toBe(true)
      if (!advanced) return
      const entry = before.ramp.at(-1)!
      const stage = before.spec.stages[entry.stage]!
      expect(event.verdict).toMatchObject({ result: "pass", generation: before.generation, srm: { flagged: false } })
      expect(event.fuse).toBeUndefined()
      expect(now - entry.at).toBeGreaterThanOrEqual(stage.periodMs)
      expect(before.holds.filter(({ reason }) => reason === "paused" || reason === "breach")).toEqual([])
      if (stage.approval) expect(before.approvals.map((approval) => approval.stage)).toContain(entry.stage)
      expect(after.ramp.length - before.ramp.length).toBeLessThanOrEqual(1)
      if (after.ended === null) expect(after.ramp.at(-1)?.stage).toBe(entry.stage + 1)
      else expect(entry.weightBp).toBe(10_000)
    })
  })

  it("a verdict of another generation moves nothing", () => {
    holds(({ before, event, after }) => {
      if (isTick(event) && event.verdict !== null && event.verdict.generation !== before.generation) {
        expect(after).toBe(before)
      }
    })
  })

  it("a tick leaves a pause alone while the rollout goes on", () => {
    holds(({ before, event, after }) => {
      if (!isTick(event) || after.ended !== null) return
      const paused = before.holds.find(({ reason }) => reason === "paused")
      expect(after.holds.find(({ reason }) => reason === "paused")).toEqual(paused)
    })
  })

  it("within a generation the past of the ramp never changes, and its times never go back", () => {
    holds(({ before, after }) => {
      if (after.generation !== before.generation) return
      expect(after.ramp.slice(0, before.ramp.length)).toEqual(before.ramp)
      const times = after.ramp.map((entry) => entry.at)
      expect(times).toEqual(times.toSorted((a, b) => a - b))
    })
  })

  it("more exposure than before waits until every process can know of it", () => {
    holds(({ before, now, after }) => {
      const added = after.generation === before.generation ? after.ramp.slice(before.ramp.length) : after.ramp
      for (const { at, weightBp } of added) {
        if (weightBp > 0) expect(at).toBeGreaterThanOrEqual(now + after.spec.activationDelayMs)
      }
    })
  })

  it("every state can be written and read back", () => {
    holds(({ before, after }) => {
      if (after !== before) expect(parseState(serializeState(after))).toEqual(after)
    })
  })

  it("a tick whose outcome was applied changes nothing when it is repeated at once", () => {
    holds(({ event, now, after }) => {
      if (!isTick(event)) return
      const again = transition(after, event, now)
      const zeroPeriod = after.spec.stages.some((stage) => stage.periodMs === 0)
      if (!zeroPeriod && after.spec.activationDelayMs > 0) expect(again).toBe(after)
    })
  })
})
