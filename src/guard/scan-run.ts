import type { Clock } from "../model/clock.js"
import type { ErrorType, Finding, ScanResult } from "../model/decision.js"
import { isThenable } from "../model/thenable.js"
import { DIRECTIONS } from "../release/ports.js"
import type { Direction, ScanContext, Scanner, ScanReport } from "../release/ports.js"
import { readScanReport } from "../release/run.js"
import { letGo, TIMED_OUT, within } from "./judge.js"
import type { Limit } from "./judge.js"

export type AnyScanner = Scanner<ScanReport | Promise<ScanReport>>

/** What one scanner did. */
export interface Scanned {
  readonly scanner: AnyScanner
  /** Null: it failed. */
  readonly report: ScanReport | null
  readonly ms: number
  readonly errorType?: ErrorType | undefined
  readonly error?: unknown
}

/** What the scanners of one release made of one text. */
export interface ScanRun {
  readonly scanned: readonly Scanned[]
  readonly result: ScanResult
  /** The scanner with the worst report, and the category of its first finding. */
  readonly scanner?: string | undefined
  readonly category?: string | undefined
  readonly findings: readonly Finding[]
  readonly redacted?: string | undefined
  readonly errorType?: ErrorType | undefined
  /** From the first scanner's start to the last one's end. */
  readonly ms: number
}

/** Scanners redact the text differently, and no text is safe by all of them. */
const UNMASKABLE = Symbol("unmaskable")
/** A text, none, or the scanner that failed over it. */
type Masked = string | undefined | typeof UNMASKABLE | Scanned

const SEVERITY = { clean: 0, flagged: 1, blocked: 2 } as const

/** Choose the scanners that look at texts of a direction. An unknown direction is looked at by all. */
export function scannersFor(scanners: readonly AnyScanner[], direction: Direction): readonly AnyScanner[] {
  if (!DIRECTIONS.includes(direction)) return scanners
  return scanners.filter(({ directions }) => directions === undefined || directions.includes(direction))
}

/** Scan one after the other. */
export function runScanners(
  clock: Clock,
  scanners: readonly AnyScanner[],
  text: string,
  context: ScanContext,
): ScanRun {
  const startedAt = clock.monotonic()
  const scanned = scanners.map((scanner) => runOne(clock, scanner, text, context))
  const chain = mask(scanned)
  let step = chain.next()
  while (step.done !== true) step = chain.next(runOne(clock, step.value.scanner, step.value.text, context))
  return combine(scanned, step.value, clock.monotonic() - startedAt)
}

/** Scan side by side, with scanners that may answer later, and be done within the limit. */
export async function runScannersAsync(
  limit: Limit,
  scanners: readonly AnyScanner[],
  text: string,
  context: ScanContext,
): Promise<ScanRun> {
  const { clock, timeoutMs } = limit
  const startedAt = clock.monotonic()
  const left = (): number => Math.max(0, timeoutMs - (clock.monotonic() - startedAt))
  const scanned = await Promise.all(scanners.map((scanner) => runOneAsync(limit, scanner, text, context)))
  const chain = mask(scanned)
  let step = chain.next()
  while (step.done !== true) {
    const { scanner, text: masked } = step.value
    step = chain.next(await runOneAsync({ ...limit, timeoutMs: left() }, scanner, masked, context))
  }
  return combine(scanned, step.value, clock.monotonic() - startedAt)
}

function runOne(clock: Clock, scanner: AnyScanner, text: string, context: ScanContext): Scanned {
  const startedAt = clock.monotonic()
  const since = (): number => clock.monotonic() - startedAt
  try {
    return read(scanner, scanner.scan(text, context), since())
  } catch (error) {
    return { scanner, report: null, ms: since(), errorType: "throw", error }
  }
}

async function runOneAsync(limit: Limit, scanner: AnyScanner, text: string, context: ScanContext): Promise<Scanned> {
  const { clock } = limit
  const startedAt = clock.monotonic()
  const since = (): number => clock.monotonic() - startedAt
  const timeoutMs = Math.min(limit.timeoutMs, scanner.timeoutMs ?? limit.timeoutMs)
  const controller = new AbortController()
  try {
    const answer = scanner.scan(text, { ...context, signal: controller.signal })
    const value = isThenable(answer) ? await within({ ...limit, timeoutMs }, answer, controller) : answer
    if (value !== TIMED_OUT) return read(scanner, value, since())
    const error = new Error(`no answer within ${timeoutMs} ms`)
    return { scanner, report: null, ms: since(), errorType: "timeout", error }
  } catch (error) {
    return { scanner, report: null, ms: since(), errorType: "throw", error }
  }
}

function read(scanner: AnyScanner, value: unknown, ms: number): Scanned {
  const report = readScanReport(value)
  if (report !== null) return { scanner, report, ms }
  letGo(value)
  return { scanner, report, ms, errorType: "invalid", error: new TypeError("expected a scan report") }
}

/**
 * Put redactions together. All scanners look at the text itself, so that what one masks another still finds; when several
 * give a different redacted text, each masks once more what the one before it left. One that cannot (it is stateful, or now
 * finds something and masks nothing) leaves no text that is safe.
 */
function* mask(scanned: readonly Scanned[]): Generator<{ scanner: AnyScanner; text: string }, Masked, Scanned> {
  const redactors = scanned.filter(({ report }) => report?.redacted !== undefined)
  const texts = new Set(redactors.map(({ report }) => report!.redacted!))
  if (texts.size < 2) return [...texts][0]
  // A stateful scanner is not asked twice, so what it made of the text itself comes first.
  const order = [...redactors].sort((a, b) => Number(isStateful(b)) - Number(isStateful(a)))
  let text = order[0]!.report!.redacted!
  for (const one of order.slice(1)) {
    if (isStateful(one)) return UNMASKABLE
    const again = yield { scanner: one.scanner, text }
    if (again.report === null) return again
    if (again.report.redacted === undefined && again.report.result !== "clean") return UNMASKABLE
    text = again.report.redacted ?? text
  }
  return text
}

const isStateful = ({ scanner }: Scanned): boolean => scanner.stateful === true

/** The worst report counts; one failure makes the whole scan one. */
function combine(first: readonly Scanned[], masked: Masked, ms: number): ScanRun {
  const scanned =
    typeof masked === "object" ? first.map((one) => (one.scanner === masked.scanner ? masked : one)) : first
  const failed = scanned.find(({ report }) => report === null)
  let worst: Scanned | undefined
  const findings: Finding[] = []
  for (const one of scanned) {
    if (one.report === null) continue
    if (SEVERITY[one.report.result] > SEVERITY[worst?.report?.result ?? "clean"]) worst = one
    for (const finding of one.report.findings ?? []) findings.push({ ...finding, scanner: one.scanner.name })
  }
  const told = failed ?? worst
  const result = masked === UNMASKABLE ? "blocked" : (worst?.report?.result ?? "clean")
  return {
    scanned,
    result: failed === undefined ? result : "error",
    scanner: told?.scanner.name,
    category: told?.report?.findings?.[0]?.category,
    findings,
    redacted: failed === undefined && typeof masked === "string" ? masked : undefined,
    errorType: failed && (failed.errorType ?? "throw"),
    ms,
  }
}
