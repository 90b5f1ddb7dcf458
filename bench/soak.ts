import type { Guard } from "serin"

export interface Held {
  readonly sessions: number
  /** After a collection, MB: the heap, and arrays outside of it. */
  readonly heapMb: number
  readonly arraysMb: number
}

/** Sessions after which memory is looked at. */
const AT = [100_000, 500_000, 1_000_000, 5_000_000]

/** Memory after many sessions of one compared call each: it must not grow with them. Needs --expose-gc. */
export async function soak(guard: Guard, tell: (held: Held) => void): Promise<void> {
  const collect = (globalThis as { gc?: () => void }).gc
  if (collect === undefined) throw new Error("run node with --expose-gc")
  let sessions = 0
  for (const at of AT) {
    while (sessions < at) {
      for (let i = 0; i < 2000; i++) guard.session(`session-${sessions++}`).evaluate({ action: "refund" })
      await guard.idle()
    }
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    tell({ sessions, heapMb: Math.round(heapUsed / 1e5) / 10, arraysMb: Math.round(arrayBuffers / 1e5) / 10 })
  }
}
