import type { CriterionVerdict, Diff, Evidence, RolloutState, Verdict } from "serin"
import { phaseOf } from "serin/rollout"
import { armRows } from "./arm-table.js"
import { diffLines } from "./diff.js"
import { CANARY, STABLE } from "./files.js"
import { count, duration, limitOf, measure, percent } from "./numbers.js"
import { sidesOf } from "./outcome.js"
import { rulesYaml } from "./rules.js"
import type { Scenario } from "./scenarios.js"

const WIDTH = 100
const DIFF_LINES = 60
const DIFFS = 8

/** Print one line. Names come from the recorded calls, so nothing in it may steer a terminal. */
export function printLine(line = ""): void {
  console.log(line.replaceAll(/\p{Cc}/gu, "\u{fffd}"))
}

/** What is being played: which act, what changes in the rules. */
export function printOpening({ act, title, story, stable, canary }: Scenario): void {
  printTitle(act, title)
  printText(story)
  printLine()
  printLine(`  releases/${STABLE}/rules.yaml → releases/${CANARY}/rules.yaml`)
  for (const line of diffLines(rulesYaml(stable), rulesYaml(canary), DIFF_LINES)) printLine(`  ${cut(line, WIDTH - 2)}`)
  printLine()
  printRow(PROGRESS, ["time", "phase", "share", "sessions", "canary's", "  what happened"])
}

export function printTitle(act: number, title: string): void {
  printRuler()
  printLine(`ACT ${act}: ${title}`)
  printLine()
}

export function printRuler(): void {
  printLine()
  printLine("─".repeat(WIDTH))
}

/** Print a sentence, broken into lines that are indented as the first is. */
export function printText(text: string): void {
  const indent = /^ */.exec(text)?.[0] ?? ""
  let line = indent
  for (const word of text.trim().split(" ")) {
    if (line !== indent && line.length + 1 + word.length > WIDTH) {
      printLine(line)
      line = indent
    }
    line += line === indent ? word : ` ${word}`
  }
  printLine(line)
}

/** Positive widths begin at the left, negative ones end at the right. */
type Columns = readonly number[]

const PROGRESS: Columns = [8, 12, -6, -10, -10, 46]

/** One line for one revision of the rollout. */
export function printTransition(
  state: RolloutState,
  seen: { readonly elapsedMs: number; readonly sessions: number; readonly canarySessions: number },
): void {
  const phase = phaseOf(state)
  const share =
    phase.phase === "canary" ? phase.weightBp / 100 : phase.phase === "baking" || phase.phase === "promoted" ? 100 : 0
  const holds = state.holds.map(({ reason }) => reason).join(", ")
  const happened =
    state.last.event === "hold" ? (holds === "" ? "nothing holds any more" : `held by ${holds}`) : state.last.event
  printRow(PROGRESS, [
    duration(seen.elapsedMs),
    phase.phase.replace("_", " "),
    `${share} %`,
    count(seen.sessions),
    count(seen.canarySessions),
    `  ${happened}`,
  ])
}

const ARMS: Columns = [20, -9, -12, -9, -9, -11, -9, -9, -9]

/** Both arms, as the guard counted them. */
export function printArms(evidence: Evidence): void {
  printLine()
  printRow(ARMS, ["arm", "sessions", "evaluations", "allow", "deny", "escalate", "error", "p50", "p99"])
  for (const { name, sessions, evaluations, outcomes, p50Ms, p99Ms } of armRows(evidence)) {
    const rates = outcomes.map((outcome) => (evaluations === 0 ? "-" : percent(outcome / evaluations)))
    const times = [p50Ms, p99Ms].map((ms) => (ms === null ? "-" : `${ms.toFixed(2)} ms`))
    printRow(ARMS, [name, count(sessions), count(evaluations), ...rates, ...times])
  }
}

const CRITERIA: Columns = [24, 13, -10, -25, -10, 16]

/** Each criterion with its numbers. */
export function printVerdict({ criteria, falseAlarmRate }: Verdict): void {
  printLine()
  printRow(CRITERIA, ["criterion", "verdict", "estimate", "interval", "limit", "  from"])
  for (const verdict of criteria) {
    const { criterion, result, estimate, lower, upper, max } = verdict
    const value = (number: number | null): string => (number === null ? "?" : measure(criterion, number))
    const interval = estimate === null ? "-" : `${value(lower)} … ${value(upper)}`
    const from = estimate === null ? (verdict.noData ?? "") : sizes(verdict)
    printRow(CRITERIA, [
      criterion,
      result,
      estimate === null ? "-" : value(estimate),
      interval,
      limitOf(criterion, max),
      `  ${from}`,
    ])
  }
  const latency = criteria.find(({ criterion }) => criterion === "latency_p99_delta_max")
  printLine()
  if (latency !== undefined) {
    printText(`  latency_p99_delta_max: the share of calls slower than stable's p99 + ${latency.max} ms.`)
  }
  const never = criteria.find(({ criterion, max }) => criterion === "newly_allowed_rate_max" && max === 0)
  if (never !== undefined) printText(`  newly_allowed_rate_max: ${never.reason}.`)
  printText(
    `  At however many looks, a canary within all limits is stopped with a chance of at most ${percent(falseAlarmRate)}.`,
  )
}

function sizes({ method, pairs, evaluations, sessions }: CriterionVerdict): string {
  return method === "pairs"
    ? `${count(pairs)} pairs`
    : `${count(evaluations.canary)} + ${count(evaluations.stable)} calls of ${count(sessions.canary)} + ${count(sessions.stable)} sessions`
}

const DIFF_COLUMNS: Columns = [30, 60, -8]

/** Where the arms disagreed, by tool and rule. */
export function printDiffs(diffs: readonly Diff[]): void {
  printLine()
  printRow(DIFF_COLUMNS, ["decision differences", "stable → canary", "calls"])
  if (diffs.length === 0) printLine("  none")
  for (const diff of diffs.slice(0, DIFFS)) printRow(DIFF_COLUMNS, [diff.action, sidesOf(diff), count(diff.calls)])
  if (diffs.length > DIFFS) printLine(`  … and ${diffs.length - DIFFS} more`)
}

function printRow(columns: Columns, cells: readonly string[]): void {
  const padded = columns.map((width, i) => {
    const cell = cut(cells[i] ?? "", Math.abs(width))
    return width < 0 ? cell.padStart(-width) : cell.padEnd(width)
  })
  printLine(`  ${padded.join("")}`.trimEnd())
}

const cut = (text: string, width: number): string => (text.length > width ? `${text.slice(0, width - 1)}…` : text)
