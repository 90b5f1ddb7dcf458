import type { Criterion, CriterionName } from "../model/verdict.js"
import { FACTS } from "./criteria.js"
import type { Setting, Source } from "./expected.js"
import { breachNeed, passNeed, type Need, type PassNeed } from "./power.js"
import { warningsOn, type PlanWarning } from "./plan-warnings.js"
import { workloadOf, type Traffic, type Workload } from "./workload.js"

export type { PlanFix, PlanWarning } from "./plan-warnings.js"
export type { Traffic, Workload } from "./workload.js"

/** What a plan reads of a rollout's spec. */
export interface PlannedSpec {
  readonly stages: readonly { readonly weightBp: number; readonly periodMs: number }[]
  readonly shadowSampleBp: number
  readonly criteria: readonly Criterion[]
  readonly minSessions: number
  readonly falseAlarmRate: number
  readonly maxStageMs: number | null
}

/** How long something takes, and how many sessions of both arms; Infinity: it does not come to pass. */
export interface Span {
  readonly sessions: number
  readonly ms: number
}

/** How long something takes. */
export interface Duration {
  /** Half of all rollouts are done by then. */
  readonly typical: Span
  /** Four of five. */
  readonly likely: Span
}

/** When a canary that is worse by `effect` is stopped, counted from the moment in this stage at which it becomes so. */
export interface Detection extends Duration {
  /**
   * What the canary does oftener than stable, as a share of calls; for latency the share of its calls that are slower than stable's p99 plus
   * the limit.
   */
  readonly effect: number
  /** Sessions that the canary has served by then, in four of five rollouts at most. */
  readonly exposed: number
}

/** What one criterion needs in one stage. */
export interface CriterionPlan {
  readonly criterion: CriterionName
  readonly mode: Criterion["mode"]
  readonly max: number
  /** What a pass comes from. */
  readonly source: Source
  /** From the beginning of the stage, with what the stages before it have shown; null: this stage tells nothing about it. */
  readonly pass: Duration | null
  /** Never for a criterion that is not enforced. */
  readonly detect: readonly Detection[]
}

/** What one stage needs, as `plan()` expects it. */
export interface StagePlan {
  readonly weightBp: number
  readonly periodMs: number
  readonly criteria: readonly CriterionPlan[]
  /** When it is left by a canary as good as stable: criteria, sessions and period together. */
  readonly leave: Duration
  /** The criterion, `min_sessions` or `period`, that takes longest in four of five rollouts. */
  readonly last: CriterionName | "min_sessions" | "period"
}

/** How long a rollout takes and whom a broken canary touches, as `plan()` expects it. */
export interface RolloutPlan {
  readonly workload: Workload
  readonly stages: readonly StagePlan[]
  /** From the start to the end, ms. */
  readonly typicalMs: number
  readonly likelyMs: number
  /** Criteria that cannot be decided within the period of their stage. */
  readonly warnings: readonly PlanWarning[]
}

const FULL_BP = 10_000
const OF = ["typical", "likely"] as const
type Of = (typeof OF)[number]

/**
 * Say before a rollout starts how many sessions and how long each criterion takes, stage by stage: until a canary that is as good as stable passes, and until one
 * that is worse is stopped. What comes out is as good as what is known of the traffic: given that, times of passes are within a factor of 1.5 of
 * simulated rollouts, and times of breaches within 2. Throws a RangeError for traffic or effects out of range.
 *
 * @param options.effects how much worse, as shares of calls; default twice and five times the limit, and every call
 */
export function plan(
  spec: PlannedSpec,
  traffic: Traffic,
  options: { readonly effects?: readonly number[] | undefined } = {},
): RolloutPlan {
  const workload = workloadOf(traffic)
  for (const effect of options.effects ?? []) {
    if (!(effect > 0 && effect <= 1)) throw new RangeError(`effects: must be above 0 and at most 1, got ${effect}`)
  }
  const stages = planStages(spec, workload, (criterion, setting) =>
    detections(criterion, workload, setting, options.effects ?? usualEffects(criterion)),
  )
  const sum = (of: Of): number => stages.reduce((all, { leave }) => all + leave[of].ms, 0)
  const again = (changed: PlannedSpec): readonly StagePlan[] => planStages(changed, workload, () => [])
  return {
    workload,
    stages,
    typicalMs: sum("typical"),
    likelyMs: sum("likely"),
    warnings: warningsOn(spec, stages, again),
  }
}

/** What the stages so far have shown: information by criterion, what has passed, and sessions that the canary served beside stable. */
interface Shown {
  readonly information: Map<CriterionName, number>
  readonly passed: Set<CriterionName>
  served: number
}

function planStages(
  spec: PlannedSpec,
  workload: Workload,
  detect: (criterion: Criterion, setting: Setting) => readonly Detection[],
): readonly StagePlan[] {
  const shown: Readonly<Record<Of, Shown>> = {
    typical: { information: new Map(), passed: new Set(), served: 0 },
    likely: { information: new Map(), passed: new Set(), served: 0 },
  }
  return spec.stages.map(({ weightBp, periodMs }, index) => {
    const setting = settingOf(spec, index)
    const needs = spec.criteria.map((criterion) => passNeed(criterion, workload, setting))
    const awaits = spec.stages.slice(0, index + 1).some((stage) => stage.weightBp > 0)
    const criteria = spec.criteria.map((criterion, i): CriterionPlan => {
      const { name, mode, max } = criterion
      const need = needs[i]!
      const until = (of: Of): Span => spanOf(sessionsLeft(name, need, shown[of], of), workload)
      // A shadow waits for nothing that only served sessions tell of; the stages after it do.
      const pass = need.perSession > 0 || awaits ? { typical: until("typical"), likely: until("likely") } : null
      const found = mode === "enforce" ? detect(criterion, setting) : []
      return { criterion: name, mode, max, source: need.source, pass, detect: found }
    })
    const waits = (of: Of) => longestWait(spec, index, criteria, shown[of], workload, of)
    const [typical, likely] = [waits("typical"), waits("likely")]
    learn(shown, needs, criteria, setting, { typical: typical.sessions, likely: likely.sessions })
    const leave = { typical: spanOf(typical.sessions, workload), likely: spanOf(likely.sessions, workload) }
    return { weightBp, periodMs, criteria, leave, last: likely.last }
  })
}

function sessionsLeft(name: CriterionName, need: PassNeed, { information, passed }: Shown, of: Of): number {
  // Stages differ a little in how much they ask for. What has passed has passed.
  if (passed.has(name)) return 0
  const left = need[of] - (information.get(name) ?? 0)
  return left > 0 ? Math.ceil(Math.max(left / need.perSession, need.least)) : 0
}

/** What keeps a stage from being left for longest, in sessions of both arms. */
function longestWait(
  { minSessions, stages, shadowSampleBp }: PlannedSpec,
  index: number,
  criteria: readonly CriterionPlan[],
  { served }: Shown,
  workload: Workload,
  of: Of,
): { readonly last: StagePlan["last"]; readonly sessions: number } {
  const { weightBp, periodMs } = stages[index]!
  const isServed = weightBp > 0 && weightBp < FULL_BP
  // In shadow and at 100 % it is sessions judged by both that are counted, if there are any.
  const countedBp = isServed || shadowSampleBp === 0 ? weightBp : shadowSampleBp
  const missing = Math.max(0, minSessions - (isServed ? served : 0))
  const waits: [StagePlan["last"], number][] = [
    ["period", (periodMs / 60_000) * workload.sessionsPerMinute],
    ["min_sessions", missing === 0 ? 0 : (missing * FULL_BP) / countedBp],
  ]
  for (const { criterion, mode, pass } of criteria) {
    if (mode === "enforce" && pass !== null) waits.push([criterion, pass[of].sessions])
  }
  const [last, sessions] = waits.reduce((longest, wait) => (wait[1] > longest[1] ? wait : longest))
  return { last, sessions }
}

function learn(
  shown: Readonly<Record<Of, Shown>>,
  needs: readonly PassNeed[],
  criteria: readonly CriterionPlan[],
  { share }: Setting,
  sessions: Readonly<Record<Of, number>>,
): void {
  for (const of of OF) {
    const { information, passed } = shown[of]
    criteria.forEach(({ criterion, pass }, i) => {
      const { perSession } = needs[i]!
      if (perSession > 0) information.set(criterion, (information.get(criterion) ?? 0) + perSession * sessions[of])
      if (pass !== null && pass[of].sessions < Infinity && pass[of].sessions <= sessions[of]) passed.add(criterion)
    })
    if (share > 0 && share < 1) shown[of].served += sessions[of] * share
  }
}

function settingOf({ stages, shadowSampleBp, criteria, falseAlarmRate }: PlannedSpec, index: number): Setting {
  const before = stages.slice(0, index)
  return {
    share: stages[index]!.weightBp / FULL_BP,
    sample: shadowSampleBp / FULL_BP,
    falseAlarmRate,
    enforced: criteria.filter(({ mode }) => mode === "enforce").length,
    before: { arms: before.filter(({ weightBp }) => weightBp > 0).length, pairs: before.length },
  }
}

function detections(
  criterion: Criterion,
  workload: Workload,
  setting: Setting,
  effects: readonly number[],
): Detection[] {
  return effects.map((effect) => {
    const need = breachNeed(criterion, workload, setting, effect)
    const { typical, likely } = durationOf(need, workload)
    return { effect, typical, likely, exposed: setting.share === 0 ? 0 : Math.ceil(likely.sessions * setting.share) }
  })
}

/** Twice and five times the limit, and every call. */
function usualEffects({ name, max }: Criterion): number[] {
  const limit = FACTS[name].kind === "latency" ? 0.01 : max > 0 ? max : 0.005
  return [...new Set([2 * limit, 5 * limit, 1])].filter((effect) => effect <= 1)
}

const durationOf = ({ typical, likely }: Need, workload: Workload): Duration => ({
  typical: spanOf(typical, workload),
  likely: spanOf(likely, workload),
})

const spanOf = (sessions: number, { sessionsPerMinute }: Workload): Span => ({
  sessions,
  ms: (sessions / sessionsPerMinute) * 60_000,
})
