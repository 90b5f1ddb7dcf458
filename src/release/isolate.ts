import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import type { Piscina } from "piscina"
import { libraryMissing } from "../errors.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import type { Direction, ModuleParts, ScanContext, Scanner, ScanReport } from "./ports.js"

/** Options of `isolatedScanner()`. */
export interface IsolatedScannerOptions {
  /** A metric label: short, and from a closed set. */
  readonly name: string
  /** The module that scans, as `new URL("./scanner.js", import.meta.url)`. It is loaded in the workers only. */
  readonly module: URL
  /** What the module exports the scanner as, a function `(text, context)`. Default `scan`. */
  readonly export?: string | undefined
  /** With them, the export is a function that makes `{ scan, warm? }` of them, as a module of a release does. Copied to the worker. */
  readonly parts?: Omit<ModuleParts, "sdk"> | undefined
  /** Time after which a scan is given up and its worker ended, ms; the guard's limit holds beside it. Default 1,000. */
  readonly timeoutMs?: number | undefined
  readonly directions?: readonly Direction[] | undefined
  readonly stateful?: boolean | undefined
  /** Workers at most, and so texts that are scanned at once; more wait. Default 2. Two are kept ready, so that one that is ended leaves another. */
  readonly maxWorkers?: number | undefined
  /** Heap of one worker, MiB, past which it is ended. Default 128. Buffers are not counted. */
  readonly maxHeapMb?: number | undefined
}

const ISOLATED_KEYS: KeysOf<IsolatedScannerOptions> = {
  name: true,
  module: true,
  export: true,
  parts: true,
  timeoutMs: true,
  directions: true,
  stateful: true,
  maxWorkers: true,
  maxHeapMb: true,
}

/** What a worker is made for. */
export interface IsolatedModule {
  /** URL of the module. */
  readonly module: string
  readonly exported: string
  readonly parts: Omit<ModuleParts, "sdk"> | undefined
}

/** What crosses the thread's border for each text, by structured clone. */
export interface IsolatedTask {
  /** Null: there is none yet, and the worker is to be ready for one. */
  readonly text: string | null
  readonly context: Omit<ScanContext, "signal"> | null
}

/** A scanner that runs in worker threads. */
export interface IsolatedScanner extends Scanner<Promise<ScanReport>> {
  /** Resolve when a worker has loaded the module; reject with what it fails of. Not needed: the first text waits for it as well. */
  warm(): Promise<void>
  /** End the workers; scans under way fail, and so do later ones. Not needed for the process to end. */
  close(): Promise<void>
}

/** Texts that may wait for a worker; more are an error of the scanner. */
const MAX_WAITING = 1000
const READY_WORKERS = 2
/** An extra worker without work ends after this, ms. */
const IDLE_MS = 10_000

/**
 * Make a scanner of a module that runs in worker threads: it cannot hang the event loop, and a limit ends the worker, not the
 * process. Its guard must be async. Throws `LIBRARY_MISSING` without the optional package `piscina`, and `TypeError` or
 * `RangeError` for options that cannot be.
 */
export function isolatedScanner(options: IsolatedScannerOptions): IsolatedScanner {
  const { name, module, timeoutMs, maxWorkers, maxHeapMb } = resolve(options)
  const { parts } = options
  const workerData: IsolatedModule = { module: module.href, exported: options.export ?? "scan", parts }
  const pool = new (requirePiscina())<IsolatedTask, ScanReport>({
    filename: fileURLToPath(new URL("./isolate-worker.js", import.meta.url)),
    workerData,
    minThreads: Math.min(READY_WORKERS, maxWorkers),
    maxThreads: maxWorkers,
    maxQueue: MAX_WAITING,
    idleTimeout: IDLE_MS,
    resourceLimits: { maxOldGenerationSizeMb: maxHeapMb },
    recordTiming: false,
  })
  // What a worker dies of while it has no text to scan: the next text gets a new one.
  pool.on("error", () => {})

  let closing: Promise<void> | undefined

  async function scan(text: string, context: ScanContext): Promise<ScanReport> {
    if (closing !== undefined) throw new Error(`the isolated scanner ${name} is closed`)
    const { sessionId, startedAt, direction, signal } = context
    const task = { text, context: { sessionId, startedAt, direction } }
    if (signal !== undefined) return pool.run(task, { signal })
    return withinLimit(timeoutMs, (own) => pool.run(task, { signal: own }))
  }

  return Object.freeze({
    name,
    scan,
    timeoutMs,
    directions: options.directions,
    stateful: options.stateful,
    warm: async () => void (await pool.run({ text: null, context: null })),
    close: () => (closing ??= pool.destroy()),
  })
}

/** Outside of an asynchronous guard nobody else would end it. */
async function withinLimit<T>(timeoutMs: number, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), timeoutMs)
  try {
    return await run(controller.signal)
  } catch (cause) {
    throw controller.signal.aborted ? new Error(`no answer within ${timeoutMs} ms`, { cause }) : cause
  } finally {
    clearTimeout(timer)
  }
}

/** Looked for when a scanner is made, so that nothing is missing at the first text. */
function requirePiscina(): typeof Piscina {
  try {
    return (createRequire(import.meta.url)("piscina") as { readonly Piscina: typeof Piscina }).Piscina
  } catch (cause) {
    throw libraryMissing("isolatedScanner()", "piscina", "piscina@5", cause)
  }
}

function resolve(options: IsolatedScannerOptions) {
  refuseUnknown("isolatedScanner", options, ISOLATED_KEYS)
  const { name, module, timeoutMs = 1000, maxWorkers = 2, maxHeapMb = 128 } = options
  if (typeof name !== "string" || name === "") throw new TypeError("name must be a text that is not empty")
  if (!(module instanceof URL) || !["file:", "data:"].includes(module.protocol)) {
    throw new TypeError(
      `module must be the URL of a file, as new URL("./scanner.js", import.meta.url), got ${String(module)}`,
    )
  }
  if (!(timeoutMs > 0 && timeoutMs < 2 ** 31)) {
    throw new RangeError(`timeoutMs must be above 0 and below 2^31, got ${timeoutMs}`)
  }
  if (!(Number.isInteger(maxWorkers) && maxWorkers >= 1)) {
    throw new RangeError(`maxWorkers must be a whole number from 1 on, got ${maxWorkers}`)
  }
  if (!(maxHeapMb >= 8)) throw new RangeError(`maxHeapMb must be at least 8, got ${maxHeapMb}`)
  return { name, module, timeoutMs, maxWorkers, maxHeapMb }
}
