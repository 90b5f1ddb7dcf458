import { BINS, COHORTS, type Evidence, type Stratum } from "../model/evidence.js"
import { msAt } from "./histogram.js"

/** Quantiles that are shown. */
export const QUANTILES = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999] as const

/** What people see of the evidence besides verdicts: sums over all stages. Nothing is inferred from them. */
export interface Figures {
  /** Calls that both releases judged, `[stable outcome][canary outcome]`, outcomes in the order of `OUTCOMES`. */
  readonly pairs: readonly (readonly number[])[]
  /** The same, of calls after a disagreement that the canary's session acted on. */
  readonly pairsAfter: number
  /** Durations at {@link QUANTILES}, ms; null: there are none. `pairs`: of the same calls; `arms`: of those that each arm served. */
  readonly latency: {
    readonly of: "pairs" | "arms"
    readonly stable: readonly number[]
    readonly canary: readonly number[]
  } | null
}

export function figuresOf({ strata }: Evidence): Figures {
  const pairs = Array.from({ length: 4 }, (_, stable) =>
    Array.from({ length: 4 }, (_, canary) => sum(strata, (stratum) => every(stratum.pairs, stable * 4 + canary, 16))),
  )
  return {
    pairs,
    pairsAfter: sum(strata, (stratum) => every(stratum.pairsAfter, 0, 1)),
    latency: latencyOf(strata, "pairs", "pairedLatency") ?? latencyOf(strata, "arms", "latency"),
  }
}

function latencyOf(
  strata: readonly Stratum[],
  of: "pairs" | "arms",
  name: "pairedLatency" | "latency",
): Figures["latency"] {
  const [stable, canary] = ([0, 1] as const).map((arm) =>
    quantiles(
      binsOf(
        strata.map((stratum) => stratum[name]),
        arm,
      ),
    ),
  )
  return stable == null || canary == null ? null : { of, stable, canary }
}

/** Row by row, as they lie in memory: it is done at each look, where the host's calls wait for it. */
function binsOf(arrays: readonly Uint32Array[], arm: 0 | 1): number[] {
  const bins = Array.from({ length: BINS }, () => 0)
  for (const array of arrays) {
    let i = arm * BINS * COHORTS
    for (let bin = 0; bin < BINS; bin++) {
      let durations = 0
      for (const past = i + COHORTS; i < past; i++) durations += array[i]!
      bins[bin]! += durations
    }
  }
  return bins
}

/** Interpolated inside a bin, which is 2 % wide. Null: nothing was timed. */
function quantiles(bins: readonly number[]): number[] | null {
  const all = bins.reduce((total, durations) => total + durations, 0)
  if (all === 0) return null
  return QUANTILES.map((p) => {
    let below = 0
    for (const [bin, durations] of bins.entries()) {
      if (durations > 0 && below + durations >= p * all)
        return Number(msAt(bin + (p * all - below) / durations).toPrecision(4))
      below += durations
    }
    return msAt(BINS)
  })
}

function every(values: Float64Array, from: number, step: number): number {
  let total = 0
  for (let i = from; i < values.length; i += step) total += values[i] ?? 0
  return total
}

const sum = (strata: readonly Stratum[], of: (stratum: Stratum) => number): number =>
  strata.reduce((total, stratum) => total + of(stratum), 0)
