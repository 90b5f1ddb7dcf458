import { failed, judgeAsync, read } from "../guard/judge.js"
import type { Judged, Limit } from "../guard/judge.js"
import type { Call } from "../model/call.js"
import { isThenable } from "../model/thenable.js"
import type { Evaluation, EvaluationContext, Policy } from "../release/ports.js"

type Ask = (call: Call, context: EvaluationContext) => Judged | Promise<Judged>

/**
 * Ask a policy of which it is not known whether it answers at once. One that once answered with a promise is asked as an asynchronous
 * guard would; until then no promise is made for it, which would cost more than most rules. Never throws and never rejects.
 */
export function asker(limit: Limit, policy: Policy<Call, Evaluation | Promise<Evaluation>>): Ask {
  const { clock } = limit
  let isLate = false
  return (call, context) => {
    if (isLate) return judgeAsync(limit, policy, call, context)
    const startedAt = clock.monotonic()
    try {
      const answer = policy.evaluate(call, context)
      if (!isThenable(answer)) return read(answer, clock.monotonic() - startedAt)
      isLate = true
      return judgeAsync(limit, { evaluate: () => answer }, call, context)
    } catch (error) {
      return failed("throw", error, clock.monotonic() - startedAt)
    }
  }
}
