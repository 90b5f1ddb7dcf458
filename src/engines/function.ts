import type { Call } from "../model/call.js"
import { isThenable } from "../model/thenable.js"
import type { Evaluation, EvaluationContext, Policy } from "../release/ports.js"

/** What is to be known of a function that is a policy. */
export interface FunctionOptions {
  /** Evaluating changes later answers or the world: the function is never run in shadow. */
  readonly stateful?: boolean | undefined
}

/** The same, with what its answers mean. */
export interface OutcomeOptions<T> extends FunctionOptions {
  /** Say in serin's words what the function answered. A throw, or anything but an evaluation, is an error of the policy. */
  readonly outcome: (result: Awaited<T>) => Evaluation
}

/** What the policy answers: a promise exactly where the function answers one. */
type EvaluationFrom<T> = T extends PromiseLike<unknown> ? Promise<Evaluation> : Evaluation

/** Make a policy of a function. A sync function makes a sync policy; `outcome` translates an answer in the host's own words. */
export function functionEngine<C = Call, R extends Evaluation | Promise<Evaluation> = Evaluation>(
  fn: (call: C, context: EvaluationContext) => R,
  options?: FunctionOptions,
): Policy<C, EvaluationFrom<R>>
export function functionEngine<C = Call, T = unknown>(
  fn: (call: C, context: EvaluationContext) => T,
  options: OutcomeOptions<T>,
): Policy<C, EvaluationFrom<T>>
export function functionEngine<C>(
  fn: (call: C, context: EvaluationContext) => unknown,
  options: FunctionOptions | OutcomeOptions<unknown> = {},
): Policy<C, Evaluation | Promise<Evaluation>> {
  if (typeof fn !== "function") throw new TypeError(`fn must be a function, got ${typeof fn}`)
  const outcome = "outcome" in options ? options.outcome : undefined
  if (outcome !== undefined && typeof outcome !== "function") {
    throw new TypeError(`options.outcome must be a function, got ${typeof outcome}`)
  }
  const evaluate =
    outcome === undefined
      ? fn
      : (call: C, context: EvaluationContext) => {
          const result = fn(call, context)
          return isThenable(result) ? Promise.resolve(result).then(outcome) : outcome(result)
        }
  // The overloads say what `evaluate` answers; whether the function keeps its word is read by `readEvaluation`.
  return Object.freeze({
    evaluate: evaluate as Policy<C, Evaluation | Promise<Evaluation>>["evaluate"],
    stateful: options.stateful ?? false,
  })
}
