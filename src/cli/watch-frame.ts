import { limitOf, measure } from "../analysis/wording.js"
import type { Report } from "../controller/report.js"
import { OUTCOMES } from "../model/decision.js"
import type { CriterionVerdict, Result } from "../model/verdict.js"
import { formatShare, formatSpan, formatTime, formatWhen } from "../operate/format.js"
import { nextSteps, phaseWords, type Say } from "../operate/next-step.js"
import { outlookOf, outlookOn } from "../operate/outlook-words.js"
import type { Snapshot } from "../operate/snapshot.js"
import { isUnderWay } from "../rollout/phase.js"
import type { Transition } from "../rollout/state.js"
import { criterionBar } from "./criterion-bar.js"
import { table, type Line, type Style, type Text } from "./printer.js"
import type { Size } from "./screen.js"

/** A revision, for the list of what happened. */
export interface Event {
  readonly revision: number
  readonly transition: Transition
}

/** Show a rollout on a terminal of this size. What matters most comes first: what does not fit is cut off below. */
export function watchFrame(snapshot: Snapshot, events: readonly Event[], say: Say, size: Size): Line[] {
  const { verdict, state, now } = snapshot
  const next = nextSteps(state, now, say).flatMap((step) => wrapped(step, size.columns - 8))
  return [
    headline(snapshot),
    ...rampLines(snapshot),
    ...next.map((step, i): Line => [i === 0 ? "next    " : "        ", step]),
    [],
    ...armLines(snapshot),
    ...(verdict === null
      ? [["no verdict yet"]]
      : [
          [{ text: verdict.result, style: STYLE_OF_RESULT[verdict.result] }, `: ${verdict.reason}`],
          ...verdict.criteria.map((one) => criterionLine(one, snapshot, size.columns)),
        ]),
    [],
    ...eventLines(events, now),
  ]
}

const STYLE_OF_RESULT: Readonly<Record<Result, Style>> = { breach: "red", pass: "green", inconclusive: "yellow" }

function headline({ state, phase, judged, reportAgeMs, report, reportProblem }: Snapshot): Line {
  const versions = state.canary === null ? state.stable : `${state.stable} → ${state.canary}`
  const age = reportAgeMs === null ? "" : `judged ${formatSpan(reportAgeMs)} ago`
  const problem = reportProblem ?? report?.problem
  const judging: Text[] = judged
    ? [age]
    : [{ text: `no process is judging${age === "" ? "" : `, last ${age}`}`, style: "red" }]
  if (problem !== undefined) judging.push({ text: `  ${problem}`, style: "yellow" })
  return [{ text: state.rollout, style: "bold" }, `  ${phaseWords(phase)}  ${versions}  `, ...judging]
}

function rampLines({ state, phase, now }: Snapshot): Line[] {
  if (state.canary === null) return []
  const current = state.ramp.at(-1)?.stage
  const stages = state.spec.stages.map(({ weightBp }, i) => {
    const name = weightBp === 0 ? "shadow" : formatShare(weightBp)
    return i === current ? `[${name}]` : name
  })
  const lines: Line[] = [["ramp    ", stages.join(" → ")]]
  if (!isUnderWay(phase)) return lines
  const period = state.spec.stages[phase.stage]?.periodMs ?? 0
  const since = phase.since > now ? `begins ${formatWhen(phase.since, now)}` : `for ${formatSpan(now - phase.since)}`
  lines.push(["stage   ", `${since}, ${formatSpan(period)} at least`])
  for (const { reason, since, note } of state.holds) {
    const why = note === undefined ? "" : `: ${note}`
    lines.push(["hold    ", { text: reason, style: "yellow" }, ` for ${formatSpan(now - since)}${why}`])
  }
  return lines
}

/** The figures of a report, where it has them: calls that both judged by outcome, and durations of both. */
interface Figures {
  /** `[stable outcome][canary outcome]`. */
  readonly pairs: readonly (readonly number[])[]
  /** At p50, p75, p90, p95, p99 and p99.9, ms. */
  readonly latency: { readonly stable: readonly number[]; readonly canary: readonly number[] } | null
}

function armLines({ verdict, report }: Snapshot): Line[] {
  if (verdict === null) return []
  const figures = (report as (Report & { readonly figures?: Figures }) | null)?.figures
  const rows = (["stable", "canary"] as const).map((arm): Line => {
    const calls = Math.max(0, ...verdict.criteria.map(({ evaluations }) => evaluations[arm]))
    const outcomes = figures === undefined ? [] : sharesOf(figures, arm)
    const at = (index: number): string[] => {
      const ms = figures?.latency?.[arm][index]
      return ms === undefined ? [] : [`${Number(ms.toPrecision(3))} ms`]
    }
    return [`  ${arm}`, count(verdict.sessions[arm]), count(calls), ...outcomes, ...at(0), ...at(4)]
  })
  const shares = figures === undefined ? [] : [...OUTCOMES]
  const times = figures?.latency == null ? [] : ["p50", "p99"]
  const paired = count(verdict.sessions.paired)
  return [
    ...table([["arms", "sessions", "calls", ...shares, ...times], ...rows]),
    [`  both judged the calls of ${paired} sessions${shares.length > 0 ? ": shares and times are of those" : ""}`],
    [],
  ]
}

function sharesOf({ pairs }: Figures, arm: "stable" | "canary"): string[] {
  const all = pairs.flat().reduce((sum, calls) => sum + calls, 0)
  return OUTCOMES.map((_, i) => {
    const cells = arm === "stable" ? (pairs[i] ?? []) : pairs.map((row) => row[i] ?? 0)
    const share = all === 0 ? 0 : cells.reduce((sum, calls) => sum + calls, 0) / all
    return all === 0 ? "-" : `${Number((share * 100).toPrecision(3))} %`
  })
}

const NAME = 26
const RESULT = 13
/** `0.4 % at most 1.2 % of 2 %`. */
const NUMBERS = 22

/** `newly_denied_rate_max  pass  [--o---    |     ] 0.4 % (≤ 1.2 %) / 2 %`; on a wide terminal also when it will be settled. */
function criterionLine(verdict: CriterionVerdict, snapshot: Snapshot, columns: number): Line {
  const { criterion, mode, result, estimate, upper, noData } = verdict
  const name = mode === "notify" ? `(${criterion})` : criterion
  const wide = columns >= 110
  const bar = Math.max(8, Math.min(60, columns - NAME - RESULT - NUMBERS - 4 - (wide ? 22 : 0)))
  const bound = upper === null ? "?" : measure(verdict, upper)
  const numbers = estimate === null ? (noData ?? "-") : `${measure(verdict, estimate)} ≤${bound} / ${limitOf(verdict)}`
  const outlook = wide ? outlookOn(outlookOf(snapshot), criterion) : ""
  return [
    name.slice(0, NAME - 1).padEnd(NAME),
    { text: result.padEnd(RESULT), style: STYLE_OF_RESULT[result] },
    { text: criterionBar(verdict, bar), style: STYLE_OF_RESULT[result] },
    ` ${numbers}${outlook === "" || outlook === "-" ? "" : `  ${outlook}`}`,
  ]
}

function eventLines(events: readonly Event[], now: number): Line[] {
  if (events.length === 0) return []
  const rows = events.map(({ transition: { at, event, actor, reason } }): Line => {
    const when = now - at < 86_400_000 ? formatTime(at).slice(11, 19) : formatTime(at).slice(0, 10)
    return [`  ${when}`, event, actor.id, reason]
  })
  return [["what happened, newest first"], ...table(rows)]
}

const count = (value: number): string => Math.round(value).toLocaleString("en-US")

/** Break a text at spaces: a next step that is cut off is a command that cannot be typed. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === "" ? word : `${line} ${word}`
  }
  return [...lines, line]
}
