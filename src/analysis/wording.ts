import type { CriterionVerdict, NoData } from "../model/verdict.js"
import { FACTS, isZeroTolerance, limitAsRate } from "./criteria.js"
import { QUANTILE } from "./quantiles.js"

type Worded = Omit<CriterionVerdict, "reason">

/** Say in one sentence what was found, against what limit, and from how much. */
export function reasonOf(verdict: Worded): string {
  if (verdict.noData !== undefined) return `${FACTS[verdict.criterion].label}: ${noDataReason(verdict.noData)}`
  return `${finding(verdict)} (${sizesOf(verdict)})`
}

/** Say why there is no number. */
export function noDataReason(noData: NoData): string {
  return {
    zero: "no call has been judged yet",
    missing: "nothing of this kind has been seen",
    stale: "the evidence is too old to judge by",
    errored: "the evidence could not be read",
    insufficient: "too few sessions or calls yet for a number that means anything",
  }[noData]
}

/** Say what a verdict is made of: `36 canary and 63 stable evaluations of 5 and 40 sessions`. */
export function sizesOf({ criterion, method, evaluations, sessions, pairs }: Worded): string {
  if (method === "pairs") {
    const [things, done] = criterion.startsWith("scan_") ? ["texts", "scanned"] : ["calls", "judged"]
    return `${count(pairs)} ${things} of ${count(sessions.canary)} sessions, ${done} by both`
  }
  if (evaluations.stable === 0) {
    return `${count(evaluations.canary)} evaluations of ${count(sessions.canary)} canary sessions`
  }
  const canary = `${count(evaluations.canary)} canary and ${count(evaluations.stable)} stable evaluations`
  return `${canary} of ${count(sessions.canary)} and ${count(sessions.stable)} sessions`
}

/** A rate in percent, three significant digits. */
export function percent(rate: number): string {
  return `${digits(rate * 100)} %`
}

/** A difference of rates in percentage points, signed. */
export function points(difference: number): string {
  const text = digits(difference * 100)
  return `${Number(text) > 0 ? "+" : ""}${text} pp`
}

export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",")
}

/** The estimate as people read it: a difference, a rate, or the share of calls slower than stable's p99 plus the limit. */
export function measure(verdict: Worded, value: number): string {
  const { kind } = FACTS[verdict.criterion]
  if (kind === "delta") return points(Math.min(1, Math.max(-1, value)))
  return percent(Math.min(1, Math.max(0, kind === "latency" ? value + (1 - QUANTILE) : value)))
}

/** The limit on the same scale as `measure`. */
export function limitOf(verdict: Worded): string {
  const { kind } = FACTS[verdict.criterion]
  if (kind === "latency") return percent(1 - QUANTILE)
  return kind === "delta" ? points(verdict.max) : percent(verdict.max)
}

function finding(verdict: Worded): string {
  const { criterion, max, estimate, lower, upper, result } = verdict
  const subject = subjectOf(verdict)
  const limit = `the limit is ${limitOf(verdict)}`
  if (estimate === null || lower === null) return `${subject}: over its limit by first evaluations of sessions alone`
  if (result === "breach") return `${subject} is ${measure(verdict, estimate)}, ${certainty(verdict, lower)}; ${limit}`
  if (upper === null) return `${subject} is ${measure(verdict, estimate)}, too few sessions to bound it; ${limit}`
  const most = measure(verdict, upper)
  if (result === "pass") return `${subject} is at most ${most}; ${limit}`
  if (isZeroTolerance(criterion, max))
    return `${subject}: none seen, so at most ${most}; the limit is 0, which no sample can show`
  const open = upper <= limitAsRate(criterion, max) ? "within it so far, too few sessions to pass" : "not settled"
  return `${subject} is between ${measure(verdict, lower)} and ${most}; ${limit}: ${open}`
}

/** How sure: the bound of the source that is shown, or what decided when that bound alone did not. */
function certainty(verdict: Worded, lower: number): string {
  const { criterion, max, sources = [] } = verdict
  if (isZeroTolerance(criterion, max)) return "and the first event is a breach"
  if (lower > limitAsRate(criterion, max)) return `at least ${measure(verdict, lower)}`
  const [heaviest] = sources.toSorted((a, b) => b.logE - a.logE)
  return heaviest?.source === "trip" ? "decided by first evaluations of sessions" : "decided by all evidence together"
}

function subjectOf({ criterion, max, quantiles }: Worded): string {
  const { kind, label } = FACTS[criterion]
  if (kind === "delta") return `${label}, canary minus stable,`
  if (kind === "budget") return `${label} of the canary`
  const p99 = quantiles && ` (${digits(quantiles.stableMs)} ms; canary's ${digits(quantiles.canaryMs)} ms)`
  return `${label}: the canary's share over ${digits(max)} ms slower than stable's${p99 ?? ""}`
}

function digits(value: number): string {
  // What is left of max − max by rounding is nothing.
  return String(Math.abs(value) < 1e-9 ? 0 : Number(value.toPrecision(3)))
}
