import type { Call } from "../model/call.js"
import { ARMS } from "../model/decision.js"
import type { ErrorType, Finding, Scan } from "../model/decision.js"
import type { Stratum } from "../model/evidence.js"
import { recordScan } from "../evidence/cells.js"
import type { ArmIndex } from "../evidence/cells.js"
import type { ScanContext, ScanReport, Scanner } from "../release/ports.js"
import { readScanReport } from "../release/run.js"
import type { Core } from "./core.js"
import { TIMED_OUT, isThenable, within } from "./judge.js"
import type { View } from "./view.js"

/** Where a scan is counted; null: it says nothing about the arms. */
export interface ScanPlace {
  readonly stratum: Stratum | null
  readonly cohort: number
}

/** What one scanner did. */
interface Scanned {
  readonly scanner: string
  readonly report: ScanReport | null
  readonly ms: number
  readonly errorType?: ErrorType | undefined
  readonly error?: unknown
}

const SEVERITY = { clean: 0, flagged: 1, blocked: 2 } as const

/** Scan with every scanner of the session's arm; the worst result counts. A failed canary falls back to stable's scanners. */
export function scanSync<C extends Call>(
  core: Core<C>,
  view: View<C>,
  arm: ArmIndex,
  text: string,
  context: ScanContext,
  place: ScanPlace,
): Scan {
  if (view.lockdown) return lockdown(core, view)
  const run = (side: ArmIndex): Scanned[] | null =>
    scannersOf(view, side)?.map((scanner) => runSync(core, scanner, text, context)) ?? null
  const own = run(arm)
  const failure = conclude(core, context.sessionId, arm, own, place)
  if (failure === undefined) return combine(view, arm, "scanners", own ?? [])
  if (arm === 0) return posture(view, failure)
  const stable = run(0)
  const stableFailure = stable === null ? "unavailable" : stable.find((s) => s.report === null)?.errorType
  return stableFailure === undefined
    ? combine(view, 0, "fallback", stable ?? [], failure)
    : posture(view, stableFailure)
}

/** The same for scanners that may answer later; they run side by side, each within the guard's time limit. */
export async function scanAsync<C extends Call>(
  core: Core<C>,
  view: View<C>,
  arm: ArmIndex,
  text: string,
  context: ScanContext,
  place: ScanPlace,
): Promise<Scan> {
  if (view.lockdown) return lockdown(core, view)
  const run = async (side: ArmIndex): Promise<Scanned[] | null> => {
    const scanners = scannersOf(view, side)
    return (
      scanners && Promise.all(scanners.map((scanner) => runAsync(core, core.timeoutMs[side], scanner, text, context)))
    )
  }
  const own = await run(arm)
  const failure = conclude(core, context.sessionId, arm, own, place)
  if (failure === undefined) return combine(view, arm, "scanners", own ?? [])
  if (arm === 0) return posture(view, failure)
  const stable = await run(0)
  const stableFailure = stable === null ? "unavailable" : stable.find((s) => s.report === null)?.errorType
  return stableFailure === undefined
    ? combine(view, 0, "fallback", stable ?? [], failure)
    : posture(view, stableFailure)
}

/** Null: the release is not loaded. */
function scannersOf<C extends Call>(
  view: View<C>,
  arm: ArmIndex,
): readonly Scanner<ScanReport | Promise<ScanReport>>[] | null {
  const release = arm === 1 ? view.canary : view.stable
  return release === undefined ? null : (release.scanners ?? [])
}

function runSync(
  core: Core<never>,
  scanner: Scanner<ScanReport | Promise<ScanReport>>,
  text: string,
  context: ScanContext,
): Scanned {
  const startedAt = core.clock.monotonic()
  try {
    return read(scanner.name, scanner.scan(text, context), core.clock.monotonic() - startedAt)
  } catch (error) {
    const ms = core.clock.monotonic() - startedAt
    return { scanner: scanner.name, report: null, ms, errorType: "throw", error }
  }
}

async function runAsync(
  core: Core<never>,
  timeoutMs: number,
  scanner: Scanner<ScanReport | Promise<ScanReport>>,
  text: string,
  context: ScanContext,
): Promise<Scanned> {
  const startedAt = core.clock.monotonic()
  const controller = new AbortController()
  try {
    const answer = scanner.scan(text, { ...context, signal: controller.signal })
    const value = isThenable(answer) ? await within(core.clock, timeoutMs, answer, controller) : answer
    const ms = core.clock.monotonic() - startedAt
    if (value !== TIMED_OUT) return read(scanner.name, value, ms)
    const error = new Error(`no answer within ${timeoutMs} ms`)
    return { scanner: scanner.name, report: null, ms, errorType: "timeout", error }
  } catch (error) {
    const ms = core.clock.monotonic() - startedAt
    return { scanner: scanner.name, report: null, ms, errorType: "throw", error }
  }
}

function read(scanner: string, value: unknown, ms: number): Scanned {
  const report = readScanReport(value)
  if (report !== null) return { scanner, report, ms }
  if (isThenable(value)) void Promise.resolve(value).catch(() => {})
  return { scanner, report, ms, errorType: "invalid", error: new TypeError("expected a scan report") }
}

/** Count one scan and tell how it failed, if it did. */
function conclude(
  core: Core<never>,
  sessionId: string,
  arm: ArmIndex,
  all: readonly Scanned[] | null,
  place: ScanPlace,
): ErrorType | undefined {
  if (all === null) {
    core.telemetry.fallback("unavailable")
    return "unavailable"
  }
  let failure: ErrorType | undefined
  let worst: keyof typeof SEVERITY = "clean"
  let total = 0
  for (const { scanner, report, ms, errorType, error } of all) {
    total += ms
    core.telemetry.scan(arm, scanner, report?.result ?? "error", ms)
    if (report !== null) {
      if (SEVERITY[report.result] > SEVERITY[worst]) worst = report.result
      core.telemetry.findings(arm, findingsOf(scanner, report))
    } else {
      failure ??= errorType ?? "throw"
      core.emit({ type: "error", sessionId, arm: ARMS[arm], errorType: errorType ?? "throw", error })
    }
  }
  if (failure !== undefined) core.telemetry.fallback(failure)
  if (place.stratum !== null && all.length > 0) {
    recordScan(place.stratum, arm, place.cohort, failure === undefined ? worst : "error", total)
  }
  return failure
}

const findingsOf = (scanner: string, report: ScanReport): Finding[] =>
  (report.findings ?? []).map((finding) => ({ ...finding, scanner }))

function combine(
  view: View<never>,
  arm: ArmIndex,
  source: "scanners" | "fallback",
  all: readonly Scanned[],
  errorType?: ErrorType,
): Scan {
  let result: Scan["result"] = "clean"
  let redacted: string | undefined
  const findings: Finding[] = []
  for (const { scanner, report } of all) {
    if (report === null) continue
    if (SEVERITY[report.result] > SEVERITY[result]) result = report.result
    redacted ??= report.redacted
    findings.push(...findingsOf(scanner, report))
  }
  const release = arm === 1 ? view.canaryVersion : view.stableVersion
  return { result, findings, arm: ARMS[arm], release, source, redacted, errorType }
}

/** A text that nobody could scan is not clean. */
function posture(view: View<never>, errorType: ErrorType): Scan {
  return { result: "blocked", findings: [], arm: "stable", release: view.stableVersion, source: "posture", errorType }
}

function lockdown(core: Core<never>, view: View<never>): Scan {
  core.telemetry.fallback("lockdown")
  return { result: "blocked", findings: [], arm: "stable", release: view.stableVersion, source: "lockdown" }
}
