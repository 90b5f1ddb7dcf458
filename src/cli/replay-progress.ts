import { stat } from "node:fs/promises"
import type { CallStream } from "../testing/call-stream.js"
import type { Io } from "./io.js"

const SHOW_EVERY_MS = 200

/** Show how far a replay of a file is: one line of stderr, written over and over, and gone in the end. Null where that is no terminal. */
export async function replayProgress(path: string, { stderr, stderrIsTTY, clock }: Io) {
  if (!stderrIsTTY) return null
  const size = (await stat(path).catch(() => null))?.size ?? 0
  const startedAt = clock.monotonic()
  let shownAt = Number.NEGATIVE_INFINITY
  return {
    show(done: number, calls: CallStream): void {
      const now = clock.monotonic()
      if (now - shownAt < SHOW_EVERY_MS) return
      shownAt = now
      const share = size === 0 ? "" : `, ${Math.floor((100 * calls.bytes()) / size)} %`
      const rate = Math.round(done / Math.max(1e-3, (now - startedAt) / 1000))
      stderr.write(`\r\u001b[K${counted(done)} calls${share}, ${counted(rate)} a second`)
    },
    clear: (): unknown => stderr.write("\r\u001b[K"),
  }
}

const counted = (count: number): string => count.toLocaleString("en-US")
