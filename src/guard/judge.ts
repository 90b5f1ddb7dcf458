import type { Clock } from "../model/clock.js"
import type { ErrorType } from "../model/decision.js"
import { isThenable } from "../model/thenable.js"
import { OUTCOME_INDEX } from "../evidence/cells.js"
import type { Evaluation, EvaluationContext, Policy } from "../release/ports.js"
import { readEvaluation } from "../release/run.js"

type AnyPolicy<C> = Policy<C, Evaluation | Promise<Evaluation>>

/** What became of one evaluation by one release. Taken from the policy's answer at once: it may reuse its object. */
export interface Judged {
  /** Place in `OUTCOMES`: allow 0, deny 1, escalate 2, error 3. */
  readonly outcome: number
  /** The rule that decided, or that failed. */
  readonly rule: string | undefined
  readonly reason: string | undefined
  readonly ms: number
  /** Set exactly when the outcome is an error. */
  readonly errorType: ErrorType | undefined
  readonly error: unknown
  /** What a wrapped function answered. */
  readonly value: unknown
  /** The entry of the decision log that it led to, for the pair that may follow. (A WeakMap would cost more than the entry.) */
  logged?: { readonly id: string; readonly sessionId: string | null; readonly startedAt: number | null } | undefined
}

export const ERROR = OUTCOME_INDEX.error

/** Run a synchronous evaluation and time it. A throw, a promise or an unknown answer is an outcome, not an exception. */
export function judgeSync<C>(clock: Clock, policy: AnyPolicy<C>, call: C, context: EvaluationContext): Judged {
  const startedAt = clock.monotonic()
  try {
    const answer = policy.evaluate(call, context)
    return read(answer, clock.monotonic() - startedAt)
  } catch (error) {
    return failed("throw", error, clock.monotonic() - startedAt)
  }
}

/** How long an arm may take. */
export interface Limit {
  readonly clock: Clock
  readonly timeoutMs: number
  /** Told of an answer that came after nobody waited for it any more. */
  onLate(): void
}

/** Run an evaluation that may be asynchronous, time it and give up on it at the limit. Never rejects. */
export async function judgeAsync<C>(
  limit: Limit,
  policy: AnyPolicy<C>,
  call: C,
  context: EvaluationContext,
): Promise<Judged> {
  const { clock, timeoutMs } = limit
  const startedAt = clock.monotonic()
  const controller = new AbortController()
  try {
    const answer = policy.evaluate(call, { ...context, signal: controller.signal })
    const value = isThenable(answer) ? await within(limit, answer, controller) : answer
    const ms = clock.monotonic() - startedAt
    return value === TIMED_OUT ? timedOut(timeoutMs, ms) : read(value, ms)
  } catch (error) {
    return failed("throw", error, clock.monotonic() - startedAt)
  }
}

export const unavailable = (version: string): Judged =>
  failed("unavailable", new Error(`release ${version} is not loaded`), 0)

export const timedOut = (timeoutMs: number, ms: number): Judged =>
  failed("timeout", new Error(`no answer within ${timeoutMs} ms`), ms)

export function failed(errorType: ErrorType, error: unknown, ms: number): Judged {
  return { outcome: ERROR, rule: ruleOf(error), reason: undefined, ms, errorType, error, value: undefined }
}

/** Read an evaluation; `value` is what a wrapped function answered. */
export function read(answer: unknown, ms: number, value?: unknown): Judged {
  // What most policies answer, without a look-up by name.
  const effect = effectOf(answer)
  if (effect !== ERROR) {
    return { outcome: effect, rule: undefined, reason: undefined, ms, errorType: undefined, error: undefined, value }
  }
  const evaluation = readEvaluation(answer)
  if (evaluation === null) return failed("invalid", invalid(answer), ms)
  const { rule, reason } = evaluation
  return { outcome: OUTCOME_INDEX[evaluation.outcome], rule, reason, ms, errorType: undefined, error: undefined, value }
}

const { allow: ALLOW, deny: DENY, escalate: ESCALATE } = OUTCOME_INDEX

/** The short form of an evaluation; error: it is none. */
const effectOf = (answer: unknown): number =>
  answer === "allow" ? ALLOW : answer === "deny" ? DENY : answer === "escalate" ? ESCALATE : ERROR

/** Let go of what may be a promise where a value was due: when it rejects, that must not become the host's. */
export function letGo(value: unknown): void {
  if (isThenable(value)) void Promise.resolve(value).catch(() => {})
}

function invalid(answer: unknown): Error {
  if (!isThenable(answer)) return new TypeError(`expected an evaluation, got ${typeof answer}`)
  letGo(answer)
  return new TypeError("expected an evaluation, got a promise, but the guard is synchronous: pass async: true")
}

/** Engines name the rule that failed in the error's `rule`. An error is whatever was thrown: it may throw when it is looked at. */
function ruleOf(error: unknown): string | undefined {
  try {
    const rule = (error as { rule?: unknown } | null | undefined)?.rule
    return typeof rule === "string" ? rule : undefined
  } catch {
    return undefined
  }
}

export const TIMED_OUT = Symbol("timed out")

/**
 * Wait for a foreign promise no longer than the limit. What it answers later is dropped and counted; that it rejects later, as it
 * should when it is told to stop, is no answer.
 * Someone waits for this answer, so the timer keeps the process alive until it is there. A thenable that is no promise may throw, call
 * back twice or answer another thenable: only made a promise first it is within the limit.
 */
export function within<T>(
  { clock, timeoutMs, onLate }: Limit,
  promise: PromiseLike<T>,
  controller?: AbortController,
): Promise<T | typeof TIMED_OUT> {
  const settled = Promise.resolve(promise)
  return new Promise((resolve, reject) => {
    let expired = false
    const expire = (): void => {
      expired = true
      resolve(TIMED_OUT)
      controller?.abort()
    }
    const cancel = clock.schedule(expire, timeoutMs, { keepAlive: true })
    settled.then(
      (value) => {
        if (expired) return onLate()
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
