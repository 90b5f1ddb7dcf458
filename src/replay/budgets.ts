import { FACTS, unitOf } from "../analysis/criteria.js"
import { judge } from "../analysis/judge.js"
import type { Outcome, ScanResult } from "../model/decision.js"
import type { Stratum } from "../model/evidence.js"
import type { Criterion } from "../model/verdict.js"
import type { Quantiles } from "./durations.js"
import type { ReplayBudget, ReplayReport } from "./report.js"
import { weighed, type Transitions } from "./transitions.js"

/** All that a replay has counted of what criteria are about. */
export interface Counted {
  readonly calls: number
  readonly outcomes: Transitions<Outcome>
  readonly latency: readonly [Quantiles | null, Quantiles | null]
  readonly texts: number
  readonly results: Transitions<ScanResult>
  readonly scanLatency: readonly [Quantiles | null, Quantiles | null]
  /** The calls that count for inference. */
  readonly stratum: Stratum
}

const FALSE_ALARM_RATE = 0.05

/** Hold what was counted against limits. Throws a RangeError for criteria that are none. */
export function holdAgainst(criteria: readonly Criterion[], counted: Counted): readonly ReplayBudget[] {
  const verdict = judge({
    criteria,
    evidence: { generation: 1, strata: [counted.stratum] },
    ramp: [],
    shadow: true,
    falseAlarmRate: FALSE_ALARM_RATE,
    at: 0,
  })
  return criteria.map((criterion, i) => {
    const { name, max, mode } = criterion
    const measured = measure(criterion, counted)
    const unit = unitOf(name)
    const upper = measured === null || unit === "ms" ? null : (verdict.criteria[i]?.upper ?? null)
    return {
      criterion: name,
      mode,
      unit,
      max,
      measured,
      // What all calls show is more than what may be inferred from some of them.
      atMost: upper === null ? null : Math.max(upper, measured ?? upper),
      result: measured === null ? "no_data" : measured > max ? "over" : "within",
    }
  })
}

/** Say what budgets come to. */
export function resultOf(budgets: readonly ReplayBudget[]): ReplayReport["result"] {
  const enforced = budgets.filter(({ mode }) => mode === "enforce")
  if (enforced.some(({ result }) => result === "over")) return "over"
  if (enforced.some(({ result }) => result === "within")) return "within"
  return enforced.length === 0 ? null : "no_data"
}

function measure({ name }: Criterion, counted: Counted): number | null {
  const facts = FACTS[name]
  if (facts.kind === "latency") {
    const [stable, canary] = facts.scans ? counted.scanLatency : counted.latency
    return stable === null || canary === null ? null : canary.p99Ms - stable.p99Ms
  }
  const share = (sum: number, all: number): number | null => (all === 0 ? null : sum / all)
  if (facts.kind === "budget") {
    const { stable, canary } = facts.flip
    const flips = weighed(counted.outcomes, (was, is) => is === canary && (stable?.includes(was) ?? true))
    return share(flips, counted.calls)
  }
  const { outcome } = facts
  if (outcome !== undefined) {
    const more = weighed(counted.outcomes, (was, is) => Number(is === outcome) - Number(was === outcome))
    return share(more, counted.calls)
  }
  // Monitors watch what happened, which a replay cannot make happen.
  if (facts.cells.trials !== "scans") return null
  const more = weighed(counted.results, (was, is) => Number(isFlag(is)) - Number(isFlag(was)))
  return share(more, counted.texts)
}

const isFlag = (result: ScanResult): boolean => result === "flagged" || result === "blocked"
