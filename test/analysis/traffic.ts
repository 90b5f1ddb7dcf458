import { createStratum, recordEvaluation, recordPair } from "../../src/evidence/cells.js"
import type { JudgeInput } from "../../src/analysis/judge.js"
import { OUTCOMES, type Outcome } from "../../src/model/decision.js"
import { CELLS, cellIndex, type Cell, type Stratum } from "../../src/model/evidence.js"
import type { Criterion, CriterionName, CriterionVerdict, Verdict } from "../../src/model/verdict.js"

/** Uniform numbers in [0, 1) from a seed (mulberry32). */
export function uniforms(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export interface World {
  readonly sessions: number
  /** Share of the canary, basis points. */
  readonly weightBp: number
  readonly random: () => number
  /** What stable answers; `mood` in [0, 1) is the session's, so calls of a session cluster. */
  readonly stable: (mood: number, random: () => number) => Outcome
  /** What the canary answers on the same call. */
  readonly canary: (stable: Outcome, mood: number, random: () => number) => Outcome
  /** Both arms judge each call. */
  readonly shadow?: boolean
  /** ms. */
  readonly stableMs?: (random: () => number) => number
  readonly canaryMs?: (random: () => number) => number
}

/** Serve sessions of 1 to 12 calls into a stratum. */
export function serve(world: World, into: Stratum = createStratum()): Stratum {
  const { random } = world
  const ms = world.stableMs ?? ((random) => 5 + 10 * random())
  const canaryMs = world.canaryMs ?? ms
  for (let session = 0; session < world.sessions; session++) {
    const cohort = Math.floor(random() * 64)
    const arm = random() * 10_000 < world.weightBp ? 1 : 0
    const mood = random()
    const calls = 1 + Math.floor(random() * 12)
    for (let call = 0; call < calls; call++) {
      const stable = world.stable(mood, random)
      const canary = world.canary(stable, mood, random)
      const [s, c] = [OUTCOMES.indexOf(stable), OUTCOMES.indexOf(canary)]
      const [msStable, msCanary] = [ms(random), canaryMs(random)]
      recordEvaluation(into, arm, cohort, arm === 0 ? s : c, arm === 0 ? msStable : msCanary, call === 0)
      if (world.shadow === true) recordPair(into, cohort, s, c, msStable, msCanary, call === 0)
    }
  }
  return into
}

/** Denies 5 % of calls, most of them in a tenth of the sessions. */
export const denying: World["stable"] = (mood, random) => (random() < (mood < 0.1 ? 0.32 : 0.02) ? "deny" : "allow")
/** The same release again. */
export const alike: World["canary"] = (stable) => stable

export function addTo(stratum: Stratum, arm: 0 | 1, cohort: number, counts: Partial<Record<Cell, number>>): void {
  for (const [cell, count] of Object.entries(counts)) {
    stratum.cells[cellIndex(arm, cohort, CELLS.indexOf(cell as Cell))]! += count
  }
}

export const enforce = (name: CriterionName, max = 0.02): Criterion => ({ name, max, mode: "enforce" })
export const notify = (name: CriterionName, max = 0.02): Criterion => ({ name, max, mode: "notify" })

const BEFORE_THE_RAMP = createStratum()

/** A judgement at a share of 20 % with an empty stratum from before the ramp. */
export function input(
  criteria: readonly Criterion[],
  strata: readonly Stratum[],
  options: Partial<JudgeInput> & { readonly weights?: readonly number[] } = {},
): JudgeInput {
  const { weights = strata.map(() => 2000), ...rest } = options
  return {
    criteria,
    evidence: { generation: 1, strata: [BEFORE_THE_RAMP, ...strata] },
    ramp: weights.map((weightBp) => ({ weightBp })),
    shadow: false,
    falseAlarmRate: 0.05,
    at: 0,
    ...rest,
  }
}

export function on(verdict: Verdict, name: CriterionName): CriterionVerdict {
  const found = verdict.criteria.find(({ criterion }) => criterion === name)
  if (found === undefined) throw new Error(`no verdict on ${name}`)
  return found
}
