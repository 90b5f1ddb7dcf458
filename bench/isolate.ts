import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { setTimeout } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { isolatedScanner } from "serin/isolate"

/**
 * How long the event loop waits while scanners that backtrack without end are ended in their workers, and how long a text
 * takes that is scanned in one. Run with `npm run build:js && node --import tsx bench/isolate.ts`.
 */
const ROUNDS = 20
const LIMIT_MS = 200
const context = { sessionId: "a", startedAt: 0, direction: "input" } as const

const folder = await mkdtemp(join(tmpdir(), "serin-isolate-"))
const path = join(folder, "scanner.mjs")
await writeFile(path, `export const scan = (text) => ({ result: /^(a+)+$/.test(text) ? "flagged" : "clean" })\n`)
const scanner = isolatedScanner({ name: "bench", module: pathToFileURL(path), timeoutMs: LIMIT_MS })
/** A worker that has just been started may need longer than the limit. */
const warmUp = async (): Promise<void> => {
  while (
    await scanner.scan("warm", context).then(
      () => false,
      () => true,
    )
  );
}

/** Delays of the event loop while something goes on. */
async function loopDuring(what: string, work: () => Promise<unknown>): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await work()
  delay.disable()
  const ms = (nanoseconds: number): string => (nanoseconds / 1e6).toFixed(1)
  console.log(
    `${what}: p50 ${ms(delay.percentile(50))} ms, p99 ${ms(delay.percentile(99))} ms, max ${ms(delay.max)} ms`,
  )
}

try {
  await warmUp()
  await loopDuring("event loop, nothing done", () => setTimeout(ROUNDS * LIMIT_MS))
  let ended = 0
  await loopDuring("event loop, scans ended", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await scanner.scan(`${"a".repeat(60)}!`, context).catch(() => (ended += 1))
    }
  })
  console.log(`${ended} of ${ROUNDS} scans ended at ${LIMIT_MS} ms`)
  await warmUp()

  const times: number[] = []
  for (let i = 0; i < 2000; i++) {
    const startedAt = performance.now()
    await scanner.scan("a text of no interest", context)
    times.push(performance.now() - startedAt)
  }
  times.sort((a, b) => a - b)
  const at = (p: number): string => ((times[Math.floor(p * times.length)] ?? NaN) * 1000).toFixed(0)
  console.log(`a text scanned in a worker: p50 ${at(0.5)} µs, p99 ${at(0.99)} µs`)
} finally {
  await scanner.close()
  await rm(folder, { recursive: true, force: true })
}
