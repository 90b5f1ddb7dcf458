import type { Call } from "../model/call.js"
import { ARMS } from "../model/decision.js"
import type { ErrorType, Finding, Scan } from "../model/decision.js"
import type { ArmIndex } from "../evidence/cells.js"
import type { ScanContext, Scanner, ScanReport } from "../release/ports.js"
import { readScanReport } from "../release/run.js"
import { joinScans, partOf } from "./contain.js"
import type { Core } from "./core.js"
import { isThenable, TIMED_OUT, within } from "./judge.js"
import type { Limit } from "./judge.js"
import { CANARY, STABLE } from "./seat.js"
import type { Turn } from "./seat.js"
import type { GuardSession } from "./session.js"
import type { View } from "./view.js"

type AnyScanner = Scanner<ScanReport | Promise<ScanReport>>

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
  session: GuardSession<C>,
  text: string,
  context: ScanContext,
): Scan {
  const turn = session.seat.take()
  if (turn.view.lockdown) return lockdown(core, turn.view)
  const run = (arm: ArmIndex): Scanned[] | null =>
    scannersOf(turn.view, arm)?.map((scanner) => runSync(core, scanner, text, context)) ?? null
  if (turn.view.contained) return contained(core, session, turn, run(STABLE), run(CANARY))
  const own = run(turn.arm)
  const failure = conclude(core, session, turn, own)
  if (failure === undefined) return combine(turn.view, turn.arm, "scanners", own ?? [])
  return fallBack(turn, failure, turn.arm === CANARY ? run(STABLE) : null)
}

/** The same for scanners that may answer later; they run side by side, each within its arm's time limit. */
export async function scanAsync<C extends Call>(
  core: Core<C>,
  session: GuardSession<C>,
  text: string,
  context: ScanContext,
): Promise<Scan> {
  const turn = session.seat.take()
  if (turn.view.lockdown) return lockdown(core, turn.view)
  const run = async (arm: ArmIndex): Promise<Scanned[] | null> => {
    const scanners = scannersOf(turn.view, arm)
    return scanners && Promise.all(scanners.map((one) => runAsync(core.limits[arm], one, text, context)))
  }
  if (turn.view.contained) {
    const [stable, canary] = await Promise.all([run(STABLE), run(CANARY)])
    return contained(core, session, turn, stable, canary)
  }
  const own = await run(turn.arm)
  const failure = conclude(core, session, turn, own)
  if (failure === undefined) return combine(turn.view, turn.arm, "scanners", own ?? [])
  return fallBack(turn, failure, turn.arm === CANARY ? await run(STABLE) : null)
}

/** Null: the release is not loaded. */
function scannersOf<C extends Call>(view: View<C>, arm: ArmIndex): readonly AnyScanner[] | null {
  const release = arm === CANARY ? view.canary : view.stable
  return release === undefined ? null : (release.scanners ?? [])
}

function runSync(core: Core<never>, scanner: AnyScanner, text: string, context: ScanContext): Scanned {
  const startedAt = core.clock.monotonic()
  const since = (): number => core.clock.monotonic() - startedAt
  try {
    return read(scanner.name, scanner.scan(text, context), since())
  } catch (error) {
    return { scanner: scanner.name, report: null, ms: since(), errorType: "throw", error }
  }
}

async function runAsync(limit: Limit, scanner: AnyScanner, text: string, context: ScanContext): Promise<Scanned> {
  const { clock, timeoutMs } = limit
  const startedAt = clock.monotonic()
  const since = (): number => clock.monotonic() - startedAt
  const controller = new AbortController()
  try {
    const answer = scanner.scan(text, { ...context, signal: controller.signal })
    const value = isThenable(answer) ? await within(limit, answer, controller) : answer
    if (value !== TIMED_OUT) return read(scanner.name, value, since())
    const error = new Error(`no answer within ${timeoutMs} ms`)
    return { scanner: scanner.name, report: null, ms: since(), errorType: "timeout", error }
  } catch (error) {
    return { scanner: scanner.name, report: null, ms: since(), errorType: "throw", error }
  }
}

function read(scanner: string, value: unknown, ms: number): Scanned {
  const report = readScanReport(value)
  if (report !== null) return { scanner, report, ms }
  if (isThenable(value)) void Promise.resolve(value).catch(() => {})
  return { scanner, report, ms, errorType: "invalid", error: new TypeError("expected a scan report") }
}

/** Count one scan and tell how it failed, if it did. */
function conclude<C extends Call>(
  core: Core<C>,
  session: GuardSession<C>,
  turn: Turn<C>,
  all: readonly Scanned[] | null,
): ErrorType | undefined {
  const { arm } = turn
  if (all === null) {
    core.telemetry.fallback("unavailable")
    if (arm === CANARY) session.seat.leaveCanary()
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
      session.report(arm, errorType ?? "throw", error)
    }
  }
  if (failure !== undefined) core.telemetry.fallback(failure)
  if (all.length > 0) session.tally.scan(turn, failure === undefined ? worst : "error", total)
  return failure
}

/** Answer for both arms. */
function contained<C extends Call>(
  core: Core<C>,
  session: GuardSession<C>,
  turn: Turn<C>,
  stable: readonly Scanned[] | null,
  canary: readonly Scanned[] | null,
): Scan {
  const scanOf = (arm: ArmIndex, all: readonly Scanned[] | null): Scan => {
    const part = partOf(turn, arm)
    const failure = conclude(core, session, part, all)
    if (failure === undefined) return combine(part.view, arm, "scanners", all ?? [])
    return fallBack(partOf(turn, STABLE), failure, null)
  }
  return joinScans(scanOf(STABLE, stable), scanOf(CANARY, canary))
}

/** Answer for a failed scan: with stable's, if it has one. A text that nobody could scan is not clean. */
function fallBack(turn: Turn<never>, failure: ErrorType, stable: readonly Scanned[] | null): Scan {
  const { view } = turn
  if (stable !== null) {
    const stableFailure = stable.find(({ report }) => report === null)
    if (stableFailure === undefined) return combine(view, STABLE, "fallback", stable, failure)
  }
  const lost = turn.arm === CANARY ? "unavailable" : failure
  const errorType = stable?.find(({ report }) => report === null)?.errorType ?? lost
  return { result: "blocked", findings: [], arm: "stable", release: view.stableVersion, source: "posture", errorType }
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
  const release = arm === CANARY ? view.canaryVersion : view.stableVersion
  const looked = source === "scanners" && all.length === 0 ? "none" : source
  return { result, findings, arm: ARMS[arm], release, source: looked, redacted, errorType }
}

function lockdown(core: Core<never>, view: View<never>): Scan {
  core.telemetry.fallback("lockdown")
  return { result: "blocked", findings: [], arm: "stable", release: view.stableVersion, source: "lockdown" }
}
