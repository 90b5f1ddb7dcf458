import { describe, expect, it } from "vitest"
import type { Result } from "../../src/model/verdict.js"
import type { TickEvent } from "../../src/rollout/event.js"
import type { GateReport } from "../../src/rollout/gate.js"
import type { RolloutSpec } from "../../src/rollout/spec.js"
import { initialState, type Actor, type HoldReason, type RolloutState } from "../../src/rollout/state.js"
import { transition, type RolloutEvent } from "../../src/rollout/transition.js"
import { readPage } from "../docs/pages.js"
import { explore, UNIT, type Exploration, type Letter, type Transition } from "./exploration.js"
import { INVARIANTS, type InvariantName } from "./invariants.js"
import { CONTROLLER, HUMAN, NOW, specOf, verdictOf } from "./states.js"

const effort = Number(process.env["SERIN_TEST_EFFORT"] ?? 1)
/** Events in a row. Each more takes about four times as long. */
const DEPTH = effort >= 100 ? 8 : effort >= 10 ? 5 : effort >= 1 ? 4 : 3

const cross = <A, B>(as: readonly A[], bs: readonly B[]): [A, B][] => as.flatMap((a) => bs.map((b): [A, B] => [a, b]))

const SHAPES = {
  "shadow left by approval, behind a gate": [
    "shadow: { period: 10m, approval: true }",
    "stages: [100]",
    "gate: replay",
  ],
  "no shadow, 5 % left by approval": ["shadow: false", "stages: [{ percentage: 5, period: 10m, approval: true }, 100]"],
  "shadow, 5 %, 100 %": ["shadow: { period: 10m }", "stages: [{ percentage: 5, period: 10m }, 100]"],
} as const

const ENDS = cross(cross(["rollback", "hold", "contain"], ["hold", "extend", "rollback"]), ["hold", "rollback"]).map(
  ([[failure, inconclusive], noData]) => [
    `on_failure: ${failure}`,
    `on_inconclusive: ${inconclusive}`,
    `on_no_data: ${noData}`,
  ],
)

/** Each value of each at least once. */
const FEW = [
  ["on_failure: rollback", "on_inconclusive: hold", "on_no_data: rollback"],
  ["on_failure: contain", "on_inconclusive: extend", "on_no_data: rollback"],
  ["on_failure: hold", "on_inconclusive: rollback", "on_no_data: hold"],
] as const

/** All of them with effort, else one of each shape. */
const ROLLOUTS = Object.entries(SHAPES).flatMap(([name, shape], i) =>
  (effort >= 10 ? ENDS : [FEW[i]!]).map((ends) => [name, ends, shape] as const),
)

const EARNED = "the controller raises exposure on pass evidence and along the plan alone"
const DELAYED = "a decrease that is asked for is never refused and never delayed"
const DUE = "missing evidence and missing proof take away where the spec says so, when it is due, and nowhere else"

const idle = (spec: RolloutSpec): RolloutState => initialState(spec, NOW, "salt", HUMAN)

const specIn = (shape: readonly string[], ends: readonly string[]): RolloutSpec =>
  specOf(...shape, ...ends, "bake_period: 10m", "max_stage_duration: 15m", "activation_delay: 5m", "min_sessions: 10")

const TICKS: readonly [string, (generation: number) => Omit<TickEvent, "type" | "actor">][] = [
  ["pass", (generation) => ({ verdict: verdictOf("pass", { generation }) })],
  ["breach", (generation) => ({ verdict: verdictOf("breach", { generation }) })],
  ["inconclusive", (generation) => ({ verdict: verdictOf("inconclusive", { generation }) })],
  ["pass of few sessions", (generation) => ({ verdict: verdictOf("pass", { generation, sessions: 1 }) })],
  ["pass with a mismatch", (generation) => ({ verdict: verdictOf("pass", { generation, srm: true }) })],
  ["pass with a blown fuse", (generation) => ({ verdict: verdictOf("pass", { generation }), fuse: "why" })],
  ["pass without the release", (generation) => ({ verdict: verdictOf("pass", { generation }), releases: "missing" })],
  [
    "breach past everything",
    (generation) => ({
      verdict: verdictOf("breach", { generation, sessions: 1, srm: true }),
      fuse: "why",
      releases: "missing",
    }),
  ],
  ["nothing", () => ({ verdict: null })],
  ["nobody", () => ({ verdict: null, noData: "zero" })],
  ["pass of another generation", (generation) => ({ verdict: verdictOf("pass", { generation: generation - 1 }) })],
  ["breach of another generation", (generation) => ({ verdict: verdictOf("breach", { generation: generation + 1 }) })],
]

/** Everything that can happen to a rollout of these specs, by a human and by a controller. */
function alphabetOf(spec: RolloutSpec): readonly Letter[] {
  const fixed = (name: string, event: RolloutEvent): Letter => ({ name, make: () => event })
  const specs = [spec, { ...spec, canary: "3" }, { ...spec, stable: "2", canary: "3" }]
  const verbs = (actor: Actor): Letter[] => {
    const asked = { actor, reason: "because" }
    const name = (verb: string): string => `${verb} by ${actor.kind}`
    return [
      ...(["pause", "resume", "approve", "rollback", "contain", "promote"] as const).map((type) =>
        fixed(name(type), { type, ...asked }),
      ),
      fixed(name("promote to end"), { type: "promote", to: "end", ...asked }),
      ...(["stable", "deny"] as const).map((position) =>
        fixed(name(`kill ${position}`), { type: "kill", position, ...asked }),
      ),
      ...specs.map((spec) =>
        fixed(name(`start ${spec.stable}→${spec.canary}`), {
          type: "start",
          spec,
          salt: "other",
          gate: reportOf(spec),
          ...asked,
        }),
      ),
      fixed(name("start without a report"), { type: "start", spec, salt: "other", ...asked }),
      {
        name: name("retry"),
        make: (state) => ({ type: "retry", salt: "other", gate: reportOf(state.spec), ...asked }),
      },
      {
        name: name("retry with another"),
        make: ({ stable }) => {
          const mended = { ...spec, stable, canary: "3" }
          return { type: "retry", salt: "other", spec: mended, gate: reportOf(mended), ...asked }
        },
      },
    ]
  }
  const ticks = TICKS.map(([name, look]): Letter => {
    const made = new Map<number, RolloutEvent>()
    const make = ({ generation }: RolloutState): RolloutEvent => {
      const event = made.get(generation) ?? { type: "tick", actor: CONTROLLER, ...look(generation) }
      made.set(generation, event)
      return event
    }
    return { name: `look: ${name}`, make }
  })
  const lead = fixed("lead", { type: "lead", epoch: 1, actor: CONTROLLER, reason: "leads" })
  return [...ticks, lead, ...verbs(HUMAN), ...verbs(CONTROLLER)]
}

function reportOf({ stable, canary, criteria }: RolloutSpec): GateReport {
  const budgets = criteria.map(({ name, max }) => ({ criterion: name, max, measured: 0, result: "within" as const }))
  return {
    stable: { version: stable, digest: null },
    canary: { version: canary, digest: null },
    calls: 1,
    differing: 0,
    budgets,
  }
}

describe("every order of events, with any waits between them and a clock that goes back", () => {
  const found: Exploration[] = []

  it.each(ROLLOUTS)("keeps every invariant in a rollout of %s; %s", { timeout: 600_000 }, (_, ends, shape) => {
    const spec = specIn(shape, ends)
    found.push(explore(transition, idle(spec), alphabetOf(spec), INVARIANTS, { depth: DEPTH }))
  })

  it("is as many events deep, states and steps as the reference says", () => {
    const sum = (of: (one: Exploration) => number): number => found.reduce((all, one) => all + of(one), 0)
    const [states, steps] = [sum((one) => one.states), sum((one) => one.edges)]
    const all = found.every((one) => one.complete) ? ", which is all there are" : ""
    console.info(`${found.length} rollouts to a depth of ${DEPTH} events: ${states} states, ${steps} steps${all}`)
    const page = readPage("reference/state.md").text
    const said = /depth of (\d+) events, more than ([\d,]+) states and ([\d,]+) steps/.exec(page)?.slice(1) ?? []
    const [depth, someStates, someSteps] = said.map((number) => Number(number.replaceAll(",", "")))
    expect(depth).toBe(4)
    if (effort < 1) return
    expect(states).toBeGreaterThan(someStates ?? Number.POSITIVE_INFINITY)
    expect(steps).toBeGreaterThan(someSteps ?? Number.POSITIVE_INFINITY)
  })

  it("keeps the rules that the reference lists, and no others", () => {
    const [, section = ""] = readPage("reference/state.md").text.split("## What holds in every order")
    const listed = [...(section.split("\n## ")[0] ?? "").matchAll(/^- (.+)$/gm)].map(([, rule]) => rule)
    expect(listed).toEqual(Object.keys(INVARIANTS))
  })

  it("meets every hold and every end", () => {
    const met = new Set(found.flatMap((one) => [...one.met]))
    const holds = ["approval", "breach", "fuse", "inconclusive", "no_data", "paused", "releases", "sample", "srm"]
    const rest = ["advance", "approve", "contained", "hold", "killed", "lead", "pause", "promote", "promoted", "resume"]
    const begun = ["retry", "rolled_back", "start"]
    expect([...met].sort()).toEqual([...holds, ...rest, ...begun].sort())
  })
})

/** Rollouts that are broken in one way. Each must be found, or the walk proves nothing. */
const BROKEN: readonly (readonly [what: string, rule: InvariantName, transition: Transition])[] = [
  [
    "a change that keeps its revision",
    "a change is one revision",
    (state, event, now) => {
      return { ...transition(state, event, now), revision: state.revision }
    },
  ],
  [
    "an inconclusive look that advances",
    EARNED,
    (state, event, now) => transition(state, withResult(event, "inconclusive", "pass"), now),
  ],
  [
    "a look that does not wait for the period",
    EARNED,
    (state, event, now) => transition(state, event, event.type === "tick" ? now + 2 * UNIT : now),
  ],
  [
    "a pass that passes a pause by",
    EARNED,
    (state, event, now) => transition(event.type === "tick" ? without(state, "paused") : state, event, now),
  ],
  [
    "a pass of few sessions that advances",
    EARNED,
    (state, event, now) => underSpec({ minSessions: 1 }, state, event, now),
  ],
  [
    "a stage that is left without its approval",
    EARNED,
    (state, event, now) =>
      underSpec({ stages: state.spec.stages.map((stage) => ({ ...stage, approval: false })) }, state, event, now),
  ],
  [
    "a promotion before the last stage",
    EARNED,
    (state, event, now) => {
      const next = transition(state, event, now)
      return next.last.event === "advance" && next !== state ? { ...next, ended: { kind: "promoted", at: now } } : next
    },
  ],
  [
    "an approval that goes on at once",
    "a human raises exposure by promote, start and retry alone",
    (state, event, now) => {
      const next = transition(state, event, now)
      if (event.type !== "approve" || next === state) return next
      return transition(next, { ...event, type: "promote" }, now)
    },
  ],
  [
    "a retry that goes on where it was",
    "whoever begins, begins with the first stage",
    (state, event, now) => {
      const next = transition(state, event, now)
      return event.type === "retry" && state.ramp.length > 1 ? { ...next, ramp: state.ramp } : next
    },
  ],
  [
    "a promotion that counts from before",
    "a ramp moves no session that is running",
    (state, event, now) => {
      const next = transition(state, event, now)
      if (event.type !== "promote" || next === state) return next
      return { ...next, ramp: next.ramp.map((entry) => ({ ...entry, at: Math.min(entry.at, now) })) }
    },
  ],
  [
    "a look that lifts a pause",
    "an automatic actor never undoes a human's decrease",
    (state, event, now) => transition(event.type === "tick" ? without(state, "paused") : state, event, now),
  ],
  [
    "a controller that may retry",
    "an automatic actor never undoes a human's decrease",
    (state, event, now) => transition(state, event.type === "retry" ? { ...event, actor: HUMAN } : event, now),
  ],
  [
    "a rollback that waits for the period",
    DELAYED,
    (state, event, now) => {
      const due = (state.ramp.at(-1)?.at ?? now) + 2 * UNIT
      return event.type === "rollback" && now < due ? state : transition(state, event, now)
    },
  ],
  [
    "a kill that a pause holds",
    DELAYED,
    (state, event, now) => (event.type === "kill" && state.holds.length > 0 ? state : transition(state, event, now)),
  ],
  [
    "a breach that waits for more sessions",
    "a breach acts in the look that finds it",
    (state, event, now) => {
      const few = event.type === "tick" && event.verdict?.sessions.canary === 1
      return few ? state : transition(state, event, now)
    },
  ],
  [
    "missing evidence that is waited for without end",
    DUE,
    (state, event, now) => {
      const next = transition(state, event, now)
      const gaveUp = event.type === "tick" && event.verdict === null && next.ended !== state.ended
      return gaveUp ? state : next
    },
  ],
  [
    "a controller that gives a canary another chance",
    "what has ended begins again with another canary, or by a human's retry",
    (state, event, now) => transition(state, event.type === "retry" ? { ...event, actor: HUMAN } : event, now),
  ],
  [
    "an approval of nothing",
    "an approval is a human's, of evidence that has passed",
    (state, event, now) => transition(event.type === "approve" ? asking(state, now) : state, event, now),
  ],
  [
    "a hold that begins anew with each change",
    "a hold that goes on keeps the time it began",
    (state, event, now) => {
      const next = transition(state, event, now)
      return next === state ? next : { ...next, holds: next.holds.map((hold) => ({ ...hold, since: now })) }
    },
  ],
]

describe("a rollout that is broken is found out", () => {
  it.each(BROKEN)("%s", (_, rule, broken) => {
    const spec = specIn(SHAPES["no shadow, 5 % left by approval"], FEW[0])
    const start = { type: "start", spec, salt: "other", actor: HUMAN, reason: "because" } as const
    const begun = transition(idle(spec), start, NOW)
    const walk = () => explore(broken, begun, alphabetOf(spec), { [rule]: INVARIANTS[rule] }, { depth: 3 })
    expect(walk).toThrow(new RegExp(`^${rule}: .*, after `))
  })

  it("in every way but one: that nobody is served when it is killed is derived, so no event can break it", () => {
    const rest = Object.keys(INVARIANTS).filter((name) => !BROKEN.some(([, rule]) => rule === name))
    expect(rest).toEqual(["killed, rolled back and contained mean nobody"])
  })
})

function withResult(event: RolloutEvent, from: Result, to: Result): RolloutEvent {
  if (event.type !== "tick" || event.verdict?.result !== from) return event
  return { ...event, verdict: { ...event.verdict, result: to } }
}

const without = (state: RolloutState, reason: HoldReason): RolloutState => {
  return { ...state, holds: state.holds.filter((hold) => hold.reason !== reason) }
}

/** A look as it would be under a spec that differs. */
function underSpec(differs: Partial<RolloutSpec>, state: RolloutState, event: RolloutEvent, now: number): RolloutState {
  if (event.type !== "tick") return transition(state, event, now)
  const under = { ...state, spec: { ...state.spec, ...differs } }
  const next = transition(under, event, now)
  return next === under ? state : { ...next, spec: state.spec }
}

const asking = (state: RolloutState, now: number): RolloutState => {
  return { ...state, holds: [...without(state, "approval").holds, { reason: "approval", since: now }] }
}
