import type { CriterionVerdict, SrmVerdict, Verdict } from "../model/verdict.js"
import { count, limitOf, measure, percent, points, sizesOf } from "./wording.js"

/** Put a verdict into plain words for whoever is on call: several lines, one a criterion with its numbers. */
export function explain(verdict: Verdict): string {
  const { sessions, criteria, srm, falseAlarmRate } = verdict
  const width = Math.max(...criteria.map(({ criterion }) => criterion.length))
  return [
    `${headline(verdict)}, judged ${new Date(verdict.at).toISOString()}`,
    verdict.reason,
    "",
    ...criteria.map((criterion) => line(criterion, width)),
    "",
    `sessions: ${count(sessions.canary)} canary, ${count(sessions.stable)} stable, ${count(sessions.paired)} judged by both`,
    split(srm),
    `a canary within all its limits is stopped with a chance of at most ${percent(falseAlarmRate)}, however often this is asked`,
  ].join("\n")
}

function headline({ result, cause, noData }: Verdict): string {
  if (result === "breach") return `BREACH of ${cause ?? "a limit"}`
  if (result === "pass") return "PASS"
  return noData === undefined ? "INCONCLUSIVE" : `NO DATA (${noData})`
}

function line(verdict: CriterionVerdict, width: number): string {
  const name = `${verdict.result.padEnd(12)}  ${verdict.criterion.padEnd(width)}`
  const note = verdict.mode === "notify" ? "  [notify only]" : ""
  const { estimate, lower, upper } = verdict
  if (estimate === null) return `${name}  ${verdict.reason}${note}`
  const from = lower === null ? "?" : measure(verdict, lower)
  const to = upper === null ? "?" : measure(verdict, upper)
  const numbers = `${measure(verdict, estimate)} (from ${from} to ${to}), limit ${limitOf(verdict)}`
  const quantiles = verdict.quantiles
  const p99 =
    quantiles && `; p99 ${quantiles.stableMs.toFixed(1)} ms stable, ${quantiles.canaryMs.toFixed(1)} ms canary`
  return `${name}  ${numbers}${p99 ?? ""}; ${sizesOf(verdict)}${note}`
}

function split({ flagged, short, observed, expected }: SrmVerdict): string {
  const all = observed.stable + observed.canary
  if (all === 0) return "split: no session was assigned while both arms were served"
  const off = points((observed.canary - expected.canary) / all)
  if (!flagged) return `split: as the ramp says (canary's share is off by ${off})`
  return `split: NOT as the ramp says, the ${short} arm is short: ${count(observed.canary)} canary sessions where ${count(expected.canary)} were due`
}
