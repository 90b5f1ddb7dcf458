import { sfc32 } from "serin/testing"
import type { Embedded } from "serin"

/** Sessions that are open at the same time. */
const OPEN = 200
/** Calls of a session, at most; half of it on average. */
const MOST_CALLS = 40

export interface Traffic {
  /** Make the next call of one of the open sessions. */
  call(): void
  calls(): number
  sessions(): number
}

/** Sessions of several guards, which come and go: they call, some with ids that come again, show texts and events, and end. */
export function trafficOf(guards: readonly Embedded[]): Traffic {
  const random = sfc32(1)
  let [calls, sessions] = [0, 0]
  const open = Array.from({ length: OPEN }, begin)

  function begin(): { readonly id: string; left: number } {
    return { id: `session-${sessions++}`, left: 1 + Math.floor(random() * MOST_CALLS) }
  }

  return {
    call() {
      const at = calls++ % OPEN
      const { id, left } = open[at]!
      const session = guards[at % guards.length]!.session(id, {
        attributes: { tier: left % 2 === 0 ? "internal" : "public" },
      })
      const input = { amount: Math.floor(random() * 105), note: `call ${calls}` }
      const options = left % 3 === 0 ? { callId: `call-${left}` } : undefined
      session.evaluate({ action: "refund", input }, options)
      if (left % 6 === 0) session.evaluate({ action: "refund", input }, options)
      if (left % 4 === 0) session.scan(left % 8 === 0 ? "from Ana Meyer" : "from Ana", { direction: "input" })
      if (left % 10 === 0) session.observe(left % 20 === 0 ? "odd" : "even")
      if (left === 1) open[at] = begin()
      else open[at]!.left--
    },
    calls: () => calls,
    sessions: () => sessions,
  }
}
