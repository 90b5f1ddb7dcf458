import type { CriterionPlan, Detection, RolloutPlan, Span, StagePlan } from "../analysis/plan.js"
import type { PlanFix, PlanWarning } from "../analysis/plan-warnings.js"
import type { Traffic } from "../analysis/workload.js"
import type { RolloutSpec } from "../rollout/spec.js"
import { formatShare, formatSpan } from "../operate/format.js"
import type { Told } from "./answer.js"
import type { PlanAnswer } from "./plan-answer.js"
import type { Known } from "./plan.js"
import { table, type Line } from "./printer.js"

/** What `--json` says. Spans that never end are null: JSON has no infinity. */
export function planDocument(spec: RolloutSpec, planned: RolloutPlan, known: readonly Known[]): Told<PlanAnswer> {
  const finite = (_: string, value: unknown): unknown => (value === Infinity ? null : value)
  const { workload, ...rest } = JSON.parse(JSON.stringify(planned, finite)) as Told<
    Omit<PlanAnswer, "traffic" | "trafficFrom" | "rollout">
  > &
    Pick<RolloutPlan, "workload">
  const sources = { ...sourcesOf(known) }
  return { rollout: spec.rollout, traffic: workload, trafficFrom: sources, ...rest }
}

/** Show a plan. */
export function planTable(spec: RolloutSpec, planned: RolloutPlan, known: readonly Known[]): Line[] {
  const { stages, warnings, likelyMs, typicalMs } = planned
  const total = Number.isFinite(likelyMs)
    ? `about ${formatSpan(typicalMs)}, and ${formatSpan(likelyMs)} or less in four of five rollouts`
    : "it does not get there: see the warnings"
  return [
    [{ text: spec.rollout, style: "bold" }, `: ${spec.stable} → ${spec.canary}`],
    ["traffic:"],
    ...table(trafficRows(planned, known)),
    [],
    ...table([
      ["stage", "criterion", "a good canary passes", ...effectHeads(stages)],
      ...stages.flatMap((stage) => stageRows(stage)),
    ]),
    [],
    [`a good canary is promoted after ${total}`],
    [
      "sessions are those of both arms, times are for four of five rollouts; ",
      "(n) is how many the canary has served by then",
    ],
    ...warningLines(spec, warnings),
  ]
}

function sourcesOf(known: readonly Known[]): Partial<Record<keyof Traffic, string>> {
  const found: Partial<Record<keyof Traffic, string>> = {}
  for (const { traffic, from } of known) {
    for (const [key, value] of Object.entries(traffic)) {
      if (value !== undefined && (key !== "kish" || found.callsPerSession === undefined))
        found[key as keyof Traffic] ??= from
      if (key === "kish" && found.callsPerSession === from) found.kish = from
    }
  }
  return found
}

function trafficRows({ workload }: RolloutPlan, known: readonly Known[]): Line[] {
  const sources = sourcesOf(known)
  const row = (key: keyof Traffic, text: string): Line => [`  ${text}`, sources[key] ?? "assumed"]
  const { rates } = workload
  const percent = (rate: number): string => `${digits(rate * 100)} %`
  return [
    row("sessionsPerMinute", `${digits(workload.sessionsPerMinute)} sessions a minute`),
    row("callsPerSession", `${digits(workload.callsPerSession)} counted calls a session`),
    row(
      "rates",
      `stable denies ${percent(rates.deny)}, escalates ${percent(rates.escalate)}, fails ${percent(rates.error)}`,
    ),
    row("correlation", `calls of a session are alike by ${digits(workload.correlation)}`),
    row("churn", `asked again, a release answers otherwise in ${percent(workload.churn)}`),
  ]
}

function effectHeads(stages: readonly StagePlan[]): string[] {
  const most = Math.max(0, ...stages.flatMap(({ criteria }) => criteria.map(({ detect }) => detect.length)))
  return Array.from({ length: most }, (_, i) => (i === 0 ? "a canary that is worse by … is stopped after" : ""))
}

function stageRows({ weightBp, criteria, periodMs, leave, last }: StagePlan): Line[] {
  const name = weightBp === 0 ? "shadow" : formatShare(weightBp)
  const rows = criteria.map((criterion, i): Line => [
    i === 0 ? name : "",
    criterion.criterion,
    passText(criterion),
    ...criterion.detect.map((detection) => detectionText(criterion, detection)),
  ])
  const why = last === "period" ? "its period" : last
  const end = Number.isFinite(leave.likely.ms)
    ? `left after ${formatSpan(leave.likely.ms)}: ${why}`
    : `never left: ${why}`
  return [...rows, ["", `period ${formatSpan(periodMs)}`, end]]
}

function passText({ pass, mode }: CriterionPlan): string {
  const told = mode === "notify" ? " (notify)" : ""
  if (pass === null) return `not asked here${told}`
  if (pass.likely.sessions === 0) return `is known${told}`
  return `${spanText(pass.likely)}${told}`
}

function detectionText({ criterion }: CriterionPlan, { effect, likely, exposed }: Detection): string {
  const isDelta = criterion.endsWith("rate_delta_max")
  const points = `${criterion.includes("latency") ? "" : "+"}${digits(effect * 100)} ${isDelta ? "pp" : "%"}`
  if (!Number.isFinite(likely.ms)) return `${points}: not here`
  return `${points}: ${spanText(likely)} (${exposed})`
}

const spanText = ({ sessions, ms }: Span): string =>
  Number.isFinite(ms) ? `${sessions.toLocaleString("en-US")} in ${formatSpan(ms)}` : "never"

function warningLines(spec: RolloutSpec, warnings: readonly PlanWarning[]): Line[] {
  return warnings.flatMap(({ stage, criterion, needsMs, periodMs, overdue, fixes }): Line[] => {
    const weightBp = spec.stages[stage]?.weightBp ?? 0
    const where = weightBp === 0 ? "shadow" : formatShare(weightBp)
    const takes = Number.isFinite(needsMs) ? `takes about ${formatSpan(needsMs)}` : "is never decided"
    const then = overdue
      ? `max_stage_duration is over before: then on_inconclusive: ${spec.onInconclusive} acts`
      : `the period is ${formatSpan(periodMs)}: it holds as inconclusive from then on`
    return [
      [],
      [{ text: "warning", style: "yellow" }, `: at ${where}, ${criterion} ${takes}; ${then}`],
      ...fixes.map((fix): Line => [`  would do: ${fixText(criterion, weightBp, fix)}`]),
      ...(fixes.length === 0 ? [[`  nothing small would do: write mode: notify for it, or bring more sessions`]] : []),
    ]
  })
}

function fixText(criterion: string, weightBp: number, { change, to }: PlanFix): string {
  switch (change) {
    case "limit":
      return `${criterion}: ${criterion.includes("latency") ? `"${digits(to)}ms"` : to}`
    case "share":
      return `${to / 100} % instead of ${weightBp / 100} % at this stage`
    case "sample":
      return `shadow: { sample: ${to / 100} }`
    case "period":
      return `a period of ${formatSpan(to)} for this stage`
  }
}

const digits = (value: number): string => String(Number(value.toPrecision(3)))
