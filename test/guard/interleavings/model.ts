import { BINS, CELLS, COHORTS, binIndex } from "../../../src/model/evidence.js"
import type { Cell, Evidence } from "../../../src/model/evidence.js"
import type { Arm } from "../../../src/model/decision.js"
import type { RolloutState } from "../../../src/rollout/state.js"
import { rampIndexAt } from "../../../src/session/arm.js"
import { bucketOf, cohortOf, shadowBucketOf } from "../../../src/session/bucket.js"

/** Evaluations, scans and observations of one session that inference counts. */
export const CAP = 20

/** What the guard was last told: the releases that each arm has, and the state. */
export interface Told {
  readonly state: RolloutState | null
  readonly generation: number
  readonly stable: string | null
  readonly canary: string | null
  readonly stableName: string
  readonly canaryName: string
  readonly fuseBlown: boolean
}

/** What has to be true of one call at the moment when it is asked. */
export interface Turn {
  readonly told: Told
  readonly arm: Arm
  readonly lockdown: boolean
  readonly stratum: number
  readonly cohort: number
  readonly inferable: boolean
  readonly sampled: boolean
}

export const NOTHING: Told = {
  state: null,
  generation: 0,
  stable: null,
  canary: null,
  stableName: "",
  canaryName: "",
  fuseBlown: false,
}

/** What a guard knows after it has looked. A stable release that is gone goes on. */
export function told(state: RolloutState | null, loaded: ReadonlySet<string>, before: Told): Told {
  if (state === null) return { ...NOTHING, stable: before.stable, stableName: before.stableName }
  const stable = loaded.has(state.stable) ? state.stable : before.stable
  return {
    state,
    generation: state.generation,
    stable,
    canary: state.canary !== null && loaded.has(state.canary) ? state.canary : null,
    stableName: stable ?? state.stable,
    canaryName: state.canary ?? "",
    fuseBlown: false,
  }
}

/** Those of the canary who are called now are stable's, and it may be their process alone that says so. */
const isDisplaced = ({ fuseBlown, state }: Told): boolean => fuseBlown || state?.kill === "stable"

/** From DESIGN §1.3 and §4, told anew: what the guard may not do is what this does not. */
export class ModelSession {
  latched = false
  /** Its world is the canary's: pairs count apart. */
  disagreed = false
  /** An answer of the canary was acted on that nobody compared: what comes after it counts apart, too. */
  lost = false
  private readonly pairedIn = { calls: -1, scans: -1 }
  /** Called while the fuse was blown or the kill switch was at stable, with this salt. */
  private asideIn: string | null = null
  private counted = { generation: -1, evaluations: 0, scans: 0, observations: 0 }
  /** Its first call settled in which entry of the ramp it began. */
  private began: { readonly salt: string; readonly entry: number } | null = null

  constructor(
    readonly id: string,
    /** Undefined: as first seen. */
    public startedAt: number | undefined,
    readonly kind: "drawn" | "outsider" | "pinned" | "sessionless",
  ) {}

  look(told: Told): Turn {
    const { state } = told
    const lockdown = state?.kill === "deny"
    const counts =
      state !== null && state.kill === "off" && state.ended?.kind !== "rolled_back" && state.ramp.length > 0
    const serves = counts && !told.fuseBlown
    const apart = { told, lockdown, stratum: 0, cohort: 0, inferable: false, sampled: false }
    if (this.kind === "sessionless") return { ...apart, arm: "stable" }
    const entry = this.entryIn(state)
    if (this.kind === "pinned") return { ...apart, arm: serves && entry >= 0 && !this.latched ? "canary" : "stable" }
    if (this.kind === "outsider" && state !== null) return { ...apart, arm: "stable" }
    const salt = state?.salt ?? ""
    const drawn = bucketOf(salt, this.id) < (state?.ramp[entry]?.weightBp ?? 0) ? "canary" : "stable"
    const arm = serves && !this.latched ? drawn : "stable"
    const compares = counts && state.ended === null
    return {
      told,
      lockdown,
      arm,
      stratum: entry + 1,
      cohort: cohortOf(salt, this.id),
      inferable: arm === drawn && !isDisplaced(told) && this.asideIn !== salt,
      sampled: compares && shadowBucketOf(salt, this.id) < state.spec.shadowSampleBp,
    }
  }

  take(told: Told): Turn {
    const turn = this.look(told)
    this.began ??= { salt: told.state?.salt ?? "", entry: this.entryIn(told.state) }
    if (turn.arm === "stable") this.latched = true
    if (isDisplaced(told)) this.asideIn = told.state?.salt ?? null
    return turn
  }

  private entryIn(state: RolloutState | null): number {
    if (this.began === null) return rampIndexAt(state?.ramp ?? [], this.startedAt ?? 0)
    return this.began.salt === (state?.salt ?? "") ? this.began.entry : -1
  }

  /** Number of this one among those of its kind in the generation, from 1. */
  next(what: "evaluations" | "scans" | "observations", generation: number): number {
    if (this.counted.generation !== generation) {
      this.counted = { generation, evaluations: 0, scans: 0, observations: 0 }
    }
    return (this.counted[what] += 1)
  }

  /** True for the first pair of the generation. */
  pair(generation: number, what: "calls" | "scans"): boolean {
    const first = this.pairedIn[what] !== generation
    this.pairedIn[what] = generation
    return first
  }
}

/** Counts by name: what the evidence, or the metrics, must come to. */
export class Counts {
  private readonly sums = new Map<string, number>()

  add(...name: readonly (string | number | undefined)[]): void {
    const key = name.filter((part) => part !== undefined).join(" ")
    this.sums.set(key, (this.sums.get(key) ?? 0) + 1)
  }

  toObject(): Record<string, number> {
    return Object.fromEntries([...this.sums].filter(([, sum]) => sum !== 0).sort(([a], [b]) => (a < b ? -1 : 1)))
  }
}

/** Read all that is not zero, by name. */
export function countsOf({ strata }: Evidence): { cells: Record<string, number>; pairs: Record<string, number> } {
  const cells = new Map<string, number>()
  const pairs = new Map<string, number>()
  for (const [s, stratum] of strata.entries()) {
    for (const [i, value] of stratum.cells.entries()) {
      if (value === 0) continue
      const row = Math.floor(i / CELLS.length)
      const arm = row < COHORTS ? "stable" : "canary"
      cells.set(`${s} ${arm} ${row % COHORTS} ${CELLS[i % CELLS.length]}`, value)
    }
    for (const key of ["pairs", "pairsAfter", "scanPairs"] as const) {
      for (const [i, value] of stratum[key].entries()) {
        if (value !== 0) pairs.set(`${s} ${key} ${Math.floor(i / 16)} ${Math.floor((i % 16) / 4)} ${i % 4}`, value)
      }
    }
    for (const [i, value] of stratum.pairedSessions.entries()) {
      if (value !== 0) pairs.set(`${s} sessions ${i}`, value)
    }
    for (const [i, value] of stratum.scanPairedSessions.entries()) {
      if (value !== 0) pairs.set(`${s} scanSessions ${i}`, value)
    }
  }
  const sorted = (map: Map<string, number>): Record<string, number> =>
    Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
  return { cells: sorted(cells), pairs: sorted(pairs) }
}

const sum = (array: { reduce(add: (a: number, b: number) => number, from: number): number }): number =>
  array.reduce((a, b) => a + b, 0)

/** What holds for any evidence, whatever was counted; a list of what does not. */
export function inconsistencies({ strata }: Evidence): string[] {
  const wrong: string[] = []
  for (const [s, stratum] of strata.entries()) {
    for (let row = 0; row < 2 * COHORTS; row++) {
      const cell = (name: Cell): number => stratum.cells[row * CELLS.length + CELLS.indexOf(name)]!
      const all = (...names: readonly Cell[]): number => sum(names.map(cell))
      const must = (what: string, ok: boolean): void => void (ok || wrong.push(`stratum ${s}, row ${row}: ${what}`))
      if (all("evaluations", "scans", "observations") === 0) continue
      must("evaluations by outcome", cell("evaluations") === all("allow", "deny", "escalate", "error"))
      must(
        "sessions by first outcome",
        cell("sessions") === all("first_allow", "first_deny", "first_escalate", "first_error"),
      )
      for (const name of ["allow", "deny", "escalate", "error"] as const) {
        must(`first ${name} within ${name}`, cell(`first_${name}`) <= cell(name))
      }
      must("evaluations a session", cell("evaluations") <= CAP * SESSIONS_AT_MOST)
      const [arm, cohort] = [row < COHORTS ? 0 : 1, row % COHORTS] as const
      const bins = (array: Uint32Array): number => {
        let durations = 0
        for (let bin = 0; bin < BINS; bin++) durations += array[binIndex(arm, cohort, bin)]!
        return durations
      }
      must("a duration an evaluation", bins(stratum.latency) === cell("evaluations"))
      must("a duration a scan", bins(stratum.scanLatency) === cell("scans"))
      must("scans by result", cell("scan_flagged") + cell("scan_error") <= cell("scans"))
      must("alerts within observations", cell("alerts") <= cell("observations"))
    }
    const pairs = sum(stratum.pairs)
    const both = sum(stratum.pairedLatency)
    if (both !== 2 * pairs) wrong.push(`stratum ${s}: ${both} paired durations of ${pairs} pairs`)
    const [texts, timed] = [sum(stratum.scanPairs), sum(stratum.pairedScanLatency)]
    if (timed !== 2 * texts) wrong.push(`stratum ${s}: ${timed} paired durations of ${texts} texts`)
  }
  return wrong
}

const SESSIONS_AT_MOST = 8
