import type { Criterion, CriterionName } from "serin"
import type { Effect, World } from "./world.js"

const enforce = (name: CriterionName, max: number): Criterion => ({ name, max, mode: "enforce" })

/** The criteria of the rollout file that teams already write. */
export const CRITERIA: readonly Criterion[] = [
  enforce("error_rate_delta_max", 0.01),
  enforce("latency_p99_delta_max", 50),
  enforce("deny_rate_delta_max", 0.02),
]
export const RATES: readonly CriterionName[] = ["error_rate_delta_max", "deny_rate_delta_max"]

/** 30 sessions a minute at 5 %, both arms judging, calls of a session correlated by 0.1. */
export const BASE: World = {
  sessionsPerMinute: 30,
  ramp: [{ minute: 0, weightBp: 500 }],
  minutes: 60,
  effect: {},
  shadow: true,
  icc: 0.1,
  denyRate: () => 0.05,
  timed: false,
  flips: 0.005,
  // Mean 13 and Σn²/Σn 35 before the cut, 10 and 13 after it.
  sizes: { median: 8, sigma: 1 },
}

/** Other sessions: as alike or as unlike, as many as one call or mostly one or twenty of them. */
export const SESSIONS: Readonly<Record<string, Pick<World, "icc" | "sizes">>> = {
  "correlation 0.1": { icc: 0.1, sizes: BASE.sizes },
  "correlation 0.02": { icc: 0.02, sizes: BASE.sizes },
  "correlation 0.3": { icc: 0.3, sizes: BASE.sizes },
  "correlation 0.3, sizes 1 or 20": { icc: 0.3, sizes: { median: 2, sigma: 3 } },
  "one call each": { icc: 0.1, sizes: { median: 1, sigma: 0 } },
}

export const AT_LIMIT: Readonly<Record<string, Effect>> = {
  "+2 pp denied": { deny: 0.02 },
  "+1 pp errors": { error: 0.01 },
  "both at once": { deny: 0.02, error: 0.01 },
}

/** A p99 that is 50 ms longer, in four ways: the parameters were solved for by simulation, and are checked at each run. */
export const P99_AT_LIMIT: Readonly<Record<string, Effect>> = {
  "slow calls take 49 ms longer": { slowMs: 49 },
  "a far flatter tail": { tail: { medianMs: 79.9, sigma: 2 } },
  "a far steeper tail": { tail: { medianMs: 179.4, sigma: 0.1 } },
  "7 % more calls are slow": { slowAnew: 0.0717 },
}

/** Effects beyond a limit, how long they are looked for, and the most minutes that the median may take on pairs. */
export const BEYOND: readonly {
  readonly name: string
  readonly effect: Effect
  readonly minutes: { readonly shadow: number; readonly served: number }
  readonly most?: number
  /** Canary calls that the median may serve. */
  readonly mostCalls?: number
  readonly timed?: boolean
}[] = [
  {
    name: "denies all",
    effect: { always: "deny" },
    minutes: { shadow: 10, served: 30 },
    most: 1,
    mostCalls: 5,
  },
  { name: "+5 pp denied", effect: { deny: 0.05 }, minutes: { shadow: 40, served: 240 }, most: 6 },
  { name: "+3 pp denied", effect: { deny: 0.03 }, minutes: { shadow: 120, served: 240 }, most: 30 },
  { name: "+2 pp errors", effect: { error: 0.02 }, minutes: { shadow: 60, served: 240 }, most: 10 },
  {
    name: "p99 +100 ms",
    effect: { slowMs: 100 },
    minutes: { shadow: 60, served: 240 },
    most: 10,
    timed: true,
  },
]

/** A day's curve of the deny rate, and an outage of ten minutes, in which 30 % of calls fail whoever judges them. */
export const DRIFT: Partial<World> = {
  denyRate: (minute) => 0.06 + 0.03 * Math.sin((2 * Math.PI * minute) / 240),
  outage: (minute) => (minute >= 50 && minute < 60 ? 0.3 : 0),
}

/** 1 → 5 → 25 → 50 %, each for half an hour. */
export const RAMP: Partial<World> = {
  ramp: [100, 500, 2500, 5000].map((weightBp, i) => ({ minute: 30 * i, weightBp })),
  minutes: 120,
}
