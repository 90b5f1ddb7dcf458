import { OUTCOMES, SCAN_RESULTS } from "../model/decision.js"
import type { Quantiles } from "../replay/durations.js"
import type { Group } from "../replay/groups.js"
import type { ReplayBudget, ReplayExample, ReplayReport, ReplayScanSide, ReplaySide } from "../replay/report.js"
import type { Transitions } from "../replay/transitions.js"
import { plain, table, type Line } from "./printer.js"

const COLUMNS = 100
const SHOWN_GROUPS = 20

/** Say what both releases made of recorded calls, in lines of at most 100 characters. */
export function replayLines(report: ReplayReport): Line[] {
  const { stable, canary, calls, sessions, differing, outcomes, scans } = report
  return [
    [
      { text: fit(`${stable.version} → ${canary.version}`, 40), style: "bold" },
      `: ${many(calls, "call")} of ${many(sessions, "session")}, ${share(differing, calls)} answered otherwise`,
    ],
    [],
    ...matrix(OUTCOMES, outcomes),
    ...groups(report.differences, "where they differ", ({ tool, stable, canary }) => {
      return `${tool}: ${sideWords(stable)} → ${sideWords(canary)}`
    }),
    ...groups(report.failures, "what failed", ({ arm, of, errorType, rule }) => {
      return `${of} of ${arm}: ${errorType}${rule === undefined ? "" : ` in ${rule}`}`
    }),
    [],
    ...latency("latency of the policies", stable, canary, [stable.latency, canary.latency]),
    ...(scans === null
      ? []
      : [
          [],
          [`${many(scans.texts, "text")} scanned, ${share(scans.differing, scans.texts)} with another result`],
          [],
          ...matrix(SCAN_RESULTS, scans.results),
          ...groups(scans.differences, "where the scanners differ", ({ tool, stable, canary }) => {
            return `output of ${tool}: ${scanWords(stable)} → ${scanWords(canary)}`
          }),
          [],
          ...latency("latency of the scanners", stable, canary, [scans.latency.stable, scans.latency.canary]),
        ]),
    ...(report.notes.length === 0 ? [] : [[]]),
    ...report.notes.map((note): Line => [fit(`note: ${note}`)]),
    [],
    ...budgetLines(report),
  ]
}

function matrix<W extends string>(words: readonly W[], transitions: Transitions<W>): Line[] {
  const cells = words.map((stable) => words.map((canary) => number(transitions[stable][canary])))
  const widths = words.map((word, j) => Math.max(word.length, ...cells.map((row) => row[j]?.length ?? 0)))
  const row = (values: readonly string[]): string[] => values.map((value, j) => value.padStart(widths[j] ?? 0))
  return table([
    ["stable \\ canary", ...row(words)],
    ...words.map((word, i): Line => [`  ${word}`, ...row(cells[i] ?? [])]),
  ])
}

function groups<K>(all: readonly Group<K, ReplayExample>[], title: string, words: (of: K) => string): Line[] {
  if (all.length === 0) return []
  const rest = all.length - SHOWN_GROUPS
  return [
    [],
    [title],
    ...all
      .slice(0, SHOWN_GROUPS)
      .flatMap(({ of, calls, sessions, examples }): Line[] => [
        [fit(`  ${many(calls, "call")} of ${many(sessions, "session")}  ${words(of)}`)],
        ...examples.flatMap(exampleLines),
      ]),
    ...(rest > 0 ? [[`  and ${many(rest, "group")} more: --json has them all`]] : []),
  ]
}

function exampleLines({ session, call, input, stable, canary }: ReplayExample): Line[] {
  const why = Object.entries({ stable, canary }).filter(([, text]) => text !== undefined)
  return [
    [{ text: fit(`    ${fit(session, 40)}, call ${number(call)}: ${input}`), style: "dim" }],
    ...why.map(([arm, text]): Line => [{ text: fit(`      ${arm}: ${text}`), style: "dim" }]),
  ]
}

const sideWords = ({ outcome, rule, errorType }: ReplaySide): string =>
  `${outcome}${errorType === undefined ? "" : ` (${errorType})`}${rule === undefined ? "" : ` by ${rule}`}`

const scanWords = ({ result, scanner, category }: ReplayScanSide): string =>
  `${result}${scanner === undefined ? "" : ` by ${scanner}`}${category === undefined ? "" : ` (${category})`}`

function latency(
  title: string,
  stable: { readonly version: string },
  canary: { readonly version: string },
  [was, is]: readonly [Quantiles | null, Quantiles | null],
): Line[] {
  const row = (version: string, found: Quantiles | null): Line => {
    return [`  ${fit(version, 30)}`, ...[found?.p50Ms, found?.p90Ms, found?.p99Ms].map((ms) => time(ms).padStart(8))]
  }
  return table([
    [title, ...["p50", "p90", "p99"].map((name) => name.padStart(8))],
    row(stable.version, was),
    row(canary.version, is),
  ])
}

function budgetLines({ budgets, result }: ReplayReport): Line[] {
  if (budgets.length === 0) return [["no budget was named, so nothing was judged"]]
  return [
    ...table([["budget", "limit", "these calls", "calls like these", ""], ...budgets.map(budgetRow)]),
    result === "over"
      ? [{ text: `over: ${namesOf(budgets, "over")}`, style: "red" }]
      : result === "within"
        ? [{ text: "within every budget that these calls tell of", style: "green" }]
        : [{ text: "these calls tell nothing of any budget that is enforced", style: "red" }],
  ]
}

function budgetRow(budget: ReplayBudget): Line {
  const { criterion, mode, max, measured, atMost, result } = budget
  const words = { over: "over", within: "within", no_data: "not told by these calls" }[result]
  return [
    `  ${criterion}`,
    amount(budget, max),
    measured === null ? "-" : amount(budget, measured),
    atMost === null ? "-" : `at most ${amount(budget, atMost)}`,
    {
      text: mode === "notify" ? `${words} (told only)` : words,
      style: result === "over" && mode === "enforce" ? "red" : "dim",
    },
  ]
}

const namesOf = (budgets: readonly ReplayBudget[], wanted: ReplayBudget["result"]): string =>
  budgets
    .filter(({ mode, result }) => mode === "enforce" && result === wanted)
    .map(({ criterion }) => criterion)
    .join(", ")

function amount({ unit, criterion }: ReplayBudget, value: number): string {
  if (unit === "ms") return value < 0 ? `-${time(-value)}` : time(value)
  return `${digits(value * 100)} ${criterion.includes("delta") ? "pp" : "%"}`
}

/** To what a bin of the histogram tells, and not below what a clock does. */
function time(ms: number | undefined): string {
  if (ms === undefined) return "-"
  if (ms === 0) return "0 ms"
  if (ms < 0.001) return "< 1 µs"
  return ms < 1 ? `${digits(ms * 1000)} µs` : `${digits(ms)} ms`
}

function share(part: number, all: number): string {
  return `${number(part)}${all === 0 ? "" : ` (${digits((100 * part) / all)} %)`}`
}

const many = (count: number, noun: string): string => `${number(count)} ${noun}${count === 1 ? "" : "s"}`
const number = (count: number): string => count.toLocaleString("en-US")
const digits = (value: number): string => String(Number(value.toPrecision(3)))

/** Cut a text to what a line has room for; what a terminal would obey takes none. */
function fit(text: string, most: number = COLUMNS): string {
  const shown = plain(text)
  return shown.length > most ? `${shown.slice(0, most - 1)}…` : shown
}
