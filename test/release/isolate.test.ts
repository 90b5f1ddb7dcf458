import { monitorEventLoopDelay } from "node:perf_hooks"
import { afterEach, describe, expect, it } from "vitest"
import { createGuard } from "../../src/guard.js"
import type { GuardEvent } from "../../src/guard/core.js"
import type { Scan } from "../../src/model/decision.js"
import { isolatedScanner } from "../../src/release/isolate.js"
import type { IsolatedScanner, IsolatedScannerOptions } from "../../src/release/isolate.js"
import { fakeState, stateWith } from "../guard/harness.js"

const PATIENT_MS = 30_000
const moduleOf = (name: string): URL => new URL(`./scanners/${name}`, import.meta.url)
const context = { sessionId: "a", startedAt: 0, direction: "input" } as const

let open: IsolatedScanner[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((scanner) => scanner.close()))
})

function make(module: string, options: Partial<IsolatedScannerOptions> = {}): IsolatedScanner {
  const scanner = isolatedScanner({ name: "isolated", module: moduleOf(module), timeoutMs: PATIENT_MS, ...options })
  open.push(scanner)
  return scanner
}

/** A real worker, a real clock, and a guard around them. */
function guarded(scanner: IsolatedScanner) {
  const events: GuardEvent[] = []
  const guard = createGuard({
    rollout: "demo",
    async: true,
    timeoutMs: PATIENT_MS,
    state: fakeState(stateWith({ ramp: [], canary: null })),
    releases: new Map([
      ["1.0.0", { version: "1.0.0", policy: { evaluate: () => "allow" as const }, scanners: [scanner] }],
    ]),
    onEvent: (event) => void events.push(event),
  })
  const scan = (text: string): Promise<Scan> => guard.session("a").scan(text, { direction: "output" })
  const errors = () => events.flatMap((event) => (event.type === "error" ? [event] : []))
  return { guard, scan, errors }
}

const BACKTRACKS = `${"a".repeat(60)}!`

describe("an isolated scanner", () => {
  it("scans in a worker, with the text and the context of an ordinary one", async () => {
    const { scan } = guarded(make("emails.mjs"))
    expect(await scan("ada@example")).toMatchObject({
      result: "flagged",
      findings: [{ scanner: "isolated", category: "pii", message: "output" }],
    })
    expect(await scan("nothing")).toMatchObject({ result: "clean", source: "scanners" })
  })

  it("that backtracks without end is ended at its limit while the event loop turns, and the next text is scanned", async () => {
    const limit = 1000
    const scanner = make("emails.mjs")
    await scanner.scan("warm", context)
    const { scan, errors } = guarded({ ...scanner, timeoutMs: limit })
    const delay = monitorEventLoopDelay({ resolution: 1 })
    let turns = 0
    let isOver = false
    const turn = (): void => {
      turns += 1
      if (!isOver) setImmediate(turn)
    }
    delay.enable()
    setImmediate(turn)
    const startedAt = performance.now()
    const ended = await scan(BACKTRACKS)
    const took = performance.now() - startedAt
    isOver = true
    delay.disable()
    expect(ended).toMatchObject({ result: "blocked", source: "posture", errorType: "timeout" })
    expect(errors()).toMatchObject([{ errorType: "timeout" }])
    expect(took).toBeGreaterThanOrEqual(limit - 1)
    expect(turns).toBeGreaterThan(100)
    expect(delay.max / 1e6).toBeLessThan(limit / 2)
    const patient = guarded(scanner)
    expect(await patient.scan("ada@example")).toMatchObject({ result: "flagged" })
  })

  it("is ended by its own limit where no guard waits for it", async () => {
    const scanner = make("emails.mjs", { timeoutMs: 200, maxWorkers: 1 })
    await expect(scanner.scan(BACKTRACKS, context)).rejects.toThrow("no answer within 200 ms")
  })

  it.each([
    ["exit", "throw", "worker exited with code: 0"],
    ["throw", "throw", "thrown"],
    ["throw later", "throw", "thrown later"],
    ["uncaught", "throw", "uncaught"],
    ["throw what cannot leave", "throw", "with a function"],
    ["function", "throw", "could not be cloned"],
    ["nonsense", "invalid", "expected a scan report"],
  ])("that does %j is an error of the scanner, and the next text is scanned", async (text, errorType, message) => {
    const { scan, errors } = guarded(make("broken.mjs"))
    expect(await scan(text)).toMatchObject({ result: "blocked", source: "posture", errorType })
    expect(errors()).toMatchObject([{ errorType, error: { message: expect.stringContaining(message) } }])
    expect(await scan("fine")).toMatchObject({ result: "clean", source: "scanners" })
  })

  it("that does not catch its errors keeps the worker that it has", async () => {
    const scanner = make("broken.mjs", { maxWorkers: 1 })
    for (let i = 0; i < 20; i++) {
      await expect(scanner.scan("uncaught", context)).rejects.toThrow("uncaught")
      expect(await scanner.scan("fine", context)).toEqual({ result: "clean" })
    }
  })

  it("that allocates without bound is ended by its heap's limit", async () => {
    const { scan, errors } = guarded(make("broken.mjs", { maxHeapMb: 32, maxWorkers: 1 }))
    expect(await scan("allocate")).toMatchObject({ result: "blocked", errorType: "throw" })
    expect(errors()).toMatchObject([{ error: { code: "ERR_WORKER_OUT_OF_MEMORY" } }])
    expect(await scan("fine")).toMatchObject({ result: "clean" })
  })

  it.each([
    ["throws when it is imported", "no-import.mjs", {}, "cannot be imported"],
    ["ends the process when it is imported", "exits.mjs", {}, "must not call process.exit(3)"],
    ["is not there", "missing.mjs", {}, "Cannot find module"],
    [
      "has no such export",
      "broken.mjs",
      { export: "look" },
      "must export the function look; it exports notAFunction, scan",
    ],
    ["exports no function", "broken.mjs", { export: "notAFunction" }, "must export the function notAFunction"],
  ])("whose module %s is an error at each text", async (_, module, options, message) => {
    const { scan, errors } = guarded(make(module, options))
    for (const text of ["a", "b"]) expect(await scan(text)).toMatchObject({ result: "blocked", errorType: "throw" })
    expect(errors()).toMatchObject([1, 2].map(() => ({ error: { message: expect.stringContaining(message) } })))
  })

  it("scans as many texts at once as it has workers, and the others after them", async () => {
    const { scan } = guarded(make("emails.mjs", { maxWorkers: 2 }))
    const scans = await Promise.all(Array.from({ length: 20 }, (_, i) => scan(`user${i}@example`)))
    expect(scans.map(({ result }) => result)).toEqual(scans.map(() => "flagged"))
  })

  it("fails what is under way, and what comes later, when it is closed", async () => {
    const scanner = make("broken.mjs")
    await scanner.scan("fine", context)
    const under = scanner.scan("wait", context)
    const failed = expect(under).rejects.toThrow()
    await scanner.close()
    await failed
    await expect(scanner.scan("fine", context)).rejects.toThrow("closed")
    await scanner.close()
  })

  it.each([
    [{ name: "" }, TypeError, "name must be a text"],
    [{ module: "./scanner.js" }, TypeError, "module must be the URL of a file"],
    [{ module: new URL("https://example.com/s.js") }, TypeError, "module must be the URL of a file"],
    [{ timeoutMs: 0 }, RangeError, "timeoutMs must be above 0"],
    [{ maxWorkers: 1.5 }, RangeError, "maxWorkers must be a whole number from 1 on, got 1.5"],
    [{ maxHeapMb: 1 }, RangeError, "maxHeapMb must be at least 8, got 1"],
  ])("cannot be made with %j", (options, type, message) => {
    const all = { name: "s", module: moduleOf("emails.mjs"), ...options } as unknown as IsolatedScannerOptions
    expect(() => isolatedScanner(all)).toThrow(type)
    expect(() => isolatedScanner(all)).toThrow(message)
  })
})
