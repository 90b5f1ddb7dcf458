import type { Outlook } from "../analysis/outlook.js"
import { limitOf, measure } from "../analysis/wording.js"
import type { CriterionVerdict, Result, Verdict } from "../model/verdict.js"
import type { RolloutState } from "../rollout/state.js"
import { formatShare, formatSpan, formatTime, formatWhen } from "../operate/format.js"
import { outlookOf, outlookOn } from "../operate/outlook-words.js"
import { nextSteps, phaseWords, type Say } from "../operate/next-step.js"
import { table, type Line, type Style, type Text } from "./printer.js"
import type { Snapshot } from "../operate/snapshot.js"
import { isUnderWay } from "../rollout/phase.js"

/** Show where a rollout stands. */
export function statusLines(snapshot: Snapshot, say: Say): Line[] {
  const { state, phase, now, verdict } = snapshot
  const { last } = state
  const facts: Line[] = [
    ["revision", `${state.revision}, generation ${state.generation}`],
    ["releases", releasesOf(state, phase.phase)],
  ]
  if (isUnderWay(phase)) {
    const period = state.spec.stages[phase.stage]?.periodMs ?? 0
    facts.push([
      "stage",
      `since ${formatTime(phase.since)} (${formatWhen(phase.since, now)}), ${formatSpan(period)} at least`,
    ])
  }
  if (state.canary !== null) facts.push(["ramp", rampOf(state)])
  // What held a rollout that has ended holds nothing.
  for (const { reason, since, note } of isUnderWay(phase) ? state.holds : []) {
    facts.push(["hold", { text: reason, style: "yellow" }, ` for ${formatSpan(now - since)}${note ? `: ${note}` : ""}`])
  }
  facts.push(["last", `${last.event} by ${last.actor.id}, ${formatWhen(last.at, now)}: ${last.reason}`])
  facts.push(["report", ...reportOf(snapshot)])
  const next = nextSteps(state, now, say).map((step, i): Line => [i === 0 ? "next" : "", step])
  return [
    [{ text: state.rollout, style: "bold" }, "  ", { text: phaseWords(phase), style: STYLE_OF_PHASE[phase.phase] }],
    ...facts.map(indent),
    ...(verdict === null ? [] : verdictLines(verdict, outlookOf(snapshot))),
    ...next.map(indent),
  ]
}

function releasesOf({ stable, canary }: RolloutState, phase: Snapshot["phase"]["phase"]): string {
  if (canary === null) return `${stable} stable`
  return phase === "promoted" ? `${canary} promoted, ${stable} before` : `${stable} stable, ${canary} canary`
}

const STYLE_OF_PHASE = {
  idle: "dim",
  shadow: "bold",
  canary: "bold",
  baking: "bold",
  promoted: "green",
  rolled_back: "red",
  contained: "red",
  killed: "red",
} as const satisfies Readonly<Record<Snapshot["phase"]["phase"], Style>>

const indent = ([name = "", ...rest]: Line): Line => [
  "  ",
  String(typeof name === "string" ? name : name.text).padEnd(10),
  ...rest,
]

/** The stages in their order, the one in force in brackets. */
function rampOf(state: RolloutState): string {
  const current = state.ramp.at(-1)?.stage
  const names = state.spec.stages.map(({ weightBp }) => (weightBp === 0 ? "shadow" : formatShare(weightBp)))
  return names.map((name, i) => (i === current ? `[${name}]` : name)).join(" → ")
}

function reportOf({ report, reportAgeMs, reportProblem, judged }: Snapshot): Text[] {
  if (reportProblem !== undefined) return [{ text: `cannot be read: ${reportProblem}`, style: "yellow" }]
  const age = reportAgeMs === null ? "none yet" : `${formatSpan(reportAgeMs)} old`
  const texts: Text[] = [age]
  if (!judged) texts.push(": ", { text: "no process is judging this rollout", style: "red" })
  if (report?.problem !== undefined) texts.push("; ", { text: report.problem, style: "yellow" })
  return texts
}

const STYLE_OF_RESULT: Readonly<Record<Result, Style>> = { breach: "red", pass: "green", inconclusive: "yellow" }

function verdictLines(verdict: Verdict, outlooks: readonly Outlook[]): Line[] {
  const { result, reason, criteria } = verdict
  return [
    [],
    ["  ", { text: result, style: STYLE_OF_RESULT[result] }, `: ${reason}`],
    ...table([
      ["  criterion", "result", "estimate", "interval", "limit", "n", "at this rate"],
      ...criteria.map((criterion) => criterionRow(criterion, outlooks)),
    ]),
    [],
  ]
}

function criterionRow(verdict: CriterionVerdict, outlooks: readonly Outlook[]): Line {
  const { criterion, result, estimate, lower, upper, mode, noData } = verdict
  const bound = (value: number | null): string => (value === null ? "?" : measure(verdict, value))
  return [
    `  ${criterion}`,
    { text: mode === "notify" ? `${result} (notify)` : result, style: STYLE_OF_RESULT[result] },
    estimate === null ? (noData ?? "-") : estimateIn(verdict, estimate),
    estimate === null ? "-" : `${bound(lower)} to ${bound(upper)}`,
    limitIn(verdict),
    sizeOf(verdict),
    outlookOn(outlooks, criterion),
  ]
}

/** A latency is judged by the share of calls that are slower than stable's p99 plus the limit; people think in milliseconds. */
function estimateIn(verdict: CriterionVerdict, estimate: number): string {
  const { unit, quantiles } = verdict
  const share = measure(verdict, estimate)
  if (unit !== "ms") return share
  if (quantiles === undefined) return `${share} slower`
  return `${signed(quantiles.canaryMs - quantiles.stableMs)} ms, ${share} slower`
}

function limitIn(verdict: CriterionVerdict): string {
  return verdict.unit === "ms" ? `${signed(verdict.max)} ms for all but ${limitOf(verdict)}` : limitOf(verdict)
}

function signed(ms: number): string {
  const text = String(Number(ms.toPrecision(3)))
  return ms > 0 ? `+${text}` : text
}

function sizeOf({ method, pairs, evaluations }: CriterionVerdict): string {
  const count = (value: number): string => Math.round(value).toLocaleString("en-US")
  if (method === "pairs") return `${count(pairs)} pairs`
  return `${count(evaluations.canary)} canary, ${count(evaluations.stable)} stable`
}
