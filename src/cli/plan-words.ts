import type { Criterion, CriterionName } from "../model/verdict.js"
import { formatDuration } from "../rollout/duration.js"
import type { Eligible, Pin, RolloutSpec, Stage } from "../rollout/spec.js"
import { formatShare } from "../operate/format.js"
import { table, type Line } from "./printer.js"

/** Say what a rollout will do: its stages, what it must keep to, and what happens when it does not. */
export function planLines(spec: RolloutSpec): Line[] {
  return [
    ...(spec.gate === undefined
      ? []
      : [[`first both judge the recorded calls of ${spec.gate.replay}; over a limit, it does not begin`]]),
    ["stages:"],
    ...table(spec.stages.map((stage, i) => stageRow(spec, stage, i))),
    ["the canary must keep to:"],
    ...spec.criteria.map((criterion): Line => [`  ${criterionWords(criterion)}`]),
    ["and then:"],
    ...outcomes(spec).map((words): Line => [`  ${words}`]),
  ]
}

function stageRow(spec: RolloutSpec, { weightBp, periodMs, maxMs, approval, eligible }: Stage, i: number): Line {
  const { stable, canary } = spec
  const served =
    weightBp === 0
      ? `both judge, ${stable} serves`
      : weightBp === 10_000
        ? `${canary} serves every new session${spec.shadowSampleBp > 0 ? `, ${stable} still judges` : ""}`
        : `of new sessions are served by ${canary}`
  const name = weightBp === 0 ? "shadow" : formatShare(weightBp)
  const who = eligible === undefined ? "" : `, of those whose ${attributesIn(eligible)}`
  const most = maxMs === undefined ? "" : `, not longer than ${formatDuration(maxMs)}`
  const left = approval ? ", left only when approved" : ""
  return [`  ${i + 1}.`, name, `${served}${who}`, `${formatDuration(periodMs)} at least${most}${left}`]
}

const WORDS: Readonly<Record<CriterionName, string>> = {
  error_rate_delta_max: "error rate: above stable's by at most",
  latency_p99_delta_max: "latency, 99th percentile: above stable's by at most",
  deny_rate_delta_max: "rate of denied calls: above stable's by at most",
  allow_rate_delta_max: "rate of allowed calls: above stable's by at most",
  escalate_rate_delta_max: "rate of escalated calls: above stable's by at most",
  scan_latency_p99_delta_max: "latency of scans, 99th percentile: above stable's by at most",
  scan_flag_rate_delta_max: "rate of flagged scans: above stable's by at most",
  alert_rate_delta_max: "rate of alerts: above stable's by at most",
  newly_denied_rate_max: "calls that stable allows and the canary denies: at most",
  newly_allowed_rate_max: "calls that stable stops and the canary allows: at most",
  error_rate_max: "error rate: at most",
}

function criterionWords({ name, max, mode }: Criterion): string {
  const told = mode === "notify" ? " (told only, it stops nothing)" : ""
  const percent = Number((max * 100).toPrecision(6))
  const points = percent === 1 ? "percentage point" : "percentage points"
  if (max === 0) return `${WORDS[name].replace(/at most$/, "")}none, the first is a breach${told}`
  const limit = name.includes("latency") ? formatDuration(max) : `${percent} ${name.includes("delta") ? points : "%"}`
  return `${WORDS[name]} ${limit}${told}`
}

/** Who takes part, when not everybody does. */
function participants({ eligible, pins, maxSessions, stable, canary }: RolloutSpec): string[] {
  return [
    ...(eligible === null ? [] : [`only sessions take part whose ${attributesIn(eligible)}`]),
    ...pinned(stable, pins?.stable),
    ...pinned(canary, pins?.canary),
    ...(maxSessions === null ? [] : [`${canary} serves at most ${maxSessions} sessions in one process before 100 %`]),
  ]
}

const attributesIn = (eligible: Eligible): string =>
  Object.entries(eligible)
    .map(([name, values]) => `${name} is ${values.join(" or ")}`)
    .join(" and whose ")

/** Ids of sessions may be many. */
function pinned(release: string, pin: Pin | undefined): string[] {
  if (pin === undefined) return []
  const { sessions, attributes } = pin
  const who = attributes === null ? `${sessions.length} by id` : `those whose ${attributesIn(attributes)}`
  return [`sessions pinned to ${release}, which are no evidence: ${who}`]
}

const FAILURES: Readonly<Record<RolloutSpec["onFailure"], string>> = {
  rollback: "a breach rolls back at once, in every stage",
  hold: "a breach holds for a human",
  contain: "a breach contains at once, in every stage: both judge, and every session is served the stricter answer",
}

function outcomes(spec: RolloutSpec): string[] {
  const { onFailure, onInconclusive, onNoData, minSessions, maxStageMs, falseAlarmRate, activationDelayMs } = spec
  const rate = Number((falseAlarmRate * 100).toPrecision(6))
  const late = { hold: "it holds for a human", extend: "it goes on looking", rollback: "it rolls back" }[onInconclusive]
  return [
    FAILURES[onFailure],
    `a stage is left when every criterion passes, and never before ${minSessions} sessions`,
    onNoData === "rollback" ? "without data it rolls back" : "without data it holds",
    ...(maxStageMs === null ? [] : [`when a stage is not proven after ${formatDuration(maxStageMs)}, ${late}`]),
    ...participants(spec),
    `a larger share counts for sessions that begin ${formatDuration(activationDelayMs)} later`,
    `a canary within its limits is stopped with a chance of at most ${rate} %`,
  ]
}
