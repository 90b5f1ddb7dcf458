import { bernoulliLower, bernoulliUpper } from "../analysis/bernoulli.js"
import { isLabelled } from "./label.js"
import type { Labels } from "./labels.js"

/** Level of each of both bounds. */
export const WRONG_RATE_LEVEL = 0.05

/** In how many of the disagreements the canary is wrong, by those that were drawn at random and labelled. */
export interface WrongRate {
  /** `all`, or a group's id. */
  readonly scope: string
  readonly drawn: number
  readonly labelled: number
  /** Labelled wrong by somebody. */
  readonly wrong: number
  /** Labelled wrong by one and right by another: wrong for `atMost`, right for `atLeast`. */
  readonly disputed: number
  /** Upper and lower bound of the share of wrong ones, each by itself at level 0.05, at every look. */
  readonly atMost: number
  readonly atLeast: number
}

/**
 * Bound the share of wrong disagreements of a scope. Labels of what was not drawn count for nothing: people look first at what strikes them.
 * Drawn sessions are independent, so a Beta(½, ½) mixture is exact at every number of them (see `bernoulliUpper`).
 */
export function wrongRate(all: Labels, scope: string): WrongRate {
  const draws = all.draws.filter((draw) => draw.scope === scope)
  const labelled = draws.filter((draw) => isLabelled(all, draw))
  const said = labelled.map(({ example }) => {
    const says = all.labels.filter((label) => label.example === example).map((label) => label.says)
    return { wrong: says.includes("wrong"), right: says.includes("right") }
  })
  const wrong = said.filter((one) => one.wrong).length
  const disputed = said.filter((one) => one.wrong && one.right).length
  return {
    scope,
    drawn: draws.length,
    labelled: labelled.length,
    wrong,
    disputed,
    atMost: labelled.length === 0 ? 1 : bernoulliUpper(wrong, labelled.length, WRONG_RATE_LEVEL),
    atLeast: labelled.length === 0 ? 0 : bernoulliLower(wrong - disputed, labelled.length, WRONG_RATE_LEVEL),
  }
}
