import type { Limit } from "../guard/judge.js"
import { runScannersAsync, scannersFor } from "../guard/scan-run.js"
import type { AnyScanner, ScanRun } from "../guard/scan-run.js"

interface Scanning {
  readonly scanners?: readonly AnyScanner[] | undefined
}

/** What a tool gave back goes into the model. */
const DIRECTION = "input"

/**
 * Make what has the scanners of both releases look at a text; null where neither has one for it. A stateful one on either side leaves texts out, unless it may be run; `notes`
 * gets what is to be told of that.
 */
export function comparedScanners(
  limit: Limit,
  [stable, canary]: readonly [Scanning, Scanning],
  mayRunStateful: boolean,
  notes: string[],
): ((text: string, session: string) => Promise<readonly [stable: ScanRun, canary: ScanRun]>) | null {
  const arms = [stable, canary].map(({ scanners }) => scannersFor(scanners ?? [], DIRECTION))
  const [ofStable = [], ofCanary = []] = arms
  if (ofStable.length + ofCanary.length === 0) return null
  const stateful = [...ofStable, ...ofCanary].filter((scanner) => scanner.stateful === true).map(({ name }) => name)
  if (stateful.length > 0) {
    const names = [...new Set(stateful)].join(", ")
    notes.push(
      mayRunStateful
        ? `scanners were run although they are stateful: ${names}`
        : `no text was scanned, because scanners are stateful: ${names}`,
    )
    if (!mayRunStateful) return null
  }
  return async (text, session) => {
    const context = { sessionId: session, startedAt: 0, direction: DIRECTION } as const
    return [
      await runScannersAsync(limit, ofStable, text, context),
      await runScannersAsync(limit, ofCanary, text, context),
    ]
  }
}
