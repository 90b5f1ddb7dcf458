import type { Clock } from "../model/clock.js"
import type { ErrorType } from "../model/decision.js"
import { OUTCOME_INDEX } from "../evidence/cells.js"
import { readEvaluation } from "../release/run.js"
import type { Evaluation, EvaluationContext, Policy } from "../release/ports.js"
import type { EvaluationRecord } from "../release/run.js"

type AnyPolicy<C> = Policy<C, Evaluation | Promise<Evaluation>>

/** What became of one evaluation by one release. */
export type Judged =
  | {
      readonly evaluation: EvaluationRecord
      readonly ms: number
      readonly errorType?: undefined
      readonly error?: undefined
    }
  | { readonly evaluation: null; readonly ms: number; readonly errorType: ErrorType; readonly error: unknown }

/** Place of the outcome in evidence arrays. */
export const outcomeOf = (judged: Judged): number =>
  judged.evaluation === null ? OUTCOME_INDEX.error : OUTCOME_INDEX[judged.evaluation.outcome]

/** Rule that decided, or that failed. */
export function ruleOf(judged: Judged): string | undefined {
  if (judged.evaluation !== null) return judged.evaluation.rule
  const rule = (judged.error as { rule?: unknown } | null | undefined)?.rule
  return typeof rule === "string" ? rule : undefined
}

/** Run a synchronous evaluation and time it. A throw, a promise or an unknown answer is an outcome, not an exception. */
export function judgeSync<C>(clock: Clock, policy: AnyPolicy<C>, call: C, context: EvaluationContext): Judged {
  const startedAt = clock.monotonic()
  try {
    const answer = policy.evaluate(call, context)
    return read(answer, clock.monotonic() - startedAt)
  } catch (error) {
    return { evaluation: null, ms: clock.monotonic() - startedAt, errorType: "throw", error }
  }
}

/** Run an evaluation that may be asynchronous, time it and give up on it after `timeoutMs`. Never rejects. */
export async function judgeAsync<C>(
  clock: Clock,
  timeoutMs: number,
  policy: AnyPolicy<C>,
  call: C,
  context: EvaluationContext,
): Promise<Judged> {
  const startedAt = clock.monotonic()
  const controller = new AbortController()
  try {
    const answer = policy.evaluate(call, { ...context, signal: controller.signal })
    const value = isThenable(answer) ? await within(clock, timeoutMs, answer, controller) : answer
    const ms = clock.monotonic() - startedAt
    return value === TIMED_OUT ? timedOut(timeoutMs, ms) : read(value, ms)
  } catch (error) {
    return { evaluation: null, ms: clock.monotonic() - startedAt, errorType: "throw", error }
  }
}

export const timedOut = (timeoutMs: number, ms: number): Judged => ({
  evaluation: null,
  ms,
  errorType: "timeout",
  error: new Error(`no answer within ${timeoutMs} ms`),
})

export const unavailable = (version: string): Judged => ({
  evaluation: null,
  ms: 0,
  errorType: "unavailable",
  error: new Error(`release ${version} is not loaded`),
})

export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"

function read(value: unknown, ms: number): Judged {
  const evaluation = readEvaluation(value)
  if (evaluation !== null) return { evaluation, ms }
  if (isThenable(value)) void Promise.resolve(value).catch(() => {}) // its rejection must not become the host's
  const got = isThenable(value) ? "a promise, but the guard is synchronous: pass async: true" : typeof value
  return { evaluation: null, ms, errorType: "invalid", error: new TypeError(`expected an evaluation, got ${got}`) }
}

export const TIMED_OUT = Symbol("timed out")

/** Wait for a foreign promise no longer than `timeoutMs`. What it does later, a rejection included, is dropped. */
export function within<T>(
  clock: Clock,
  timeoutMs: number,
  promise: PromiseLike<T>,
  controller?: AbortController,
): Promise<T | typeof TIMED_OUT> {
  return new Promise((resolve, reject) => {
    const cancel = clock.schedule(() => {
      resolve(TIMED_OUT)
      controller?.abort()
    }, timeoutMs)
    promise.then(
      (value) => {
        cancel()
        resolve(value)
      },
      (error: unknown) => {
        cancel()
        reject(error as Error)
      },
    )
  })
}
