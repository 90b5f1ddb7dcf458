import type { Call } from "../model/call.js"
import { ARMS } from "../model/decision.js"
import type { Arm, ErrorType, Scan } from "../model/decision.js"
import type { ArmIndex } from "../evidence/cells.js"
import type { ScanContext } from "../release/ports.js"
import { joinScans, partOf } from "./contain.js"
import type { Core } from "./core.js"
import { runScanners, runScannersAsync, scannersFor } from "./scan-run.js"
import type { AnyScanner, ScanRun } from "./scan-run.js"
import { CANARY, STABLE } from "./seat.js"
import type { Turn } from "./seat.js"
import type { GuardSession } from "./session.js"
import type { View } from "./view.js"

/** A text on its way through the scanners. */
interface Passage<C extends Call> {
  readonly core: Core<C>
  readonly session: GuardSession<C>
  readonly turn: Turn<C>
  readonly text: string
  readonly context: ScanContext
}

/** Scan with every scanner of the session's arm; the worst result counts. A failed canary falls back to stable's scanners. */
export function scanSync<C extends Call>(
  core: Core<C>,
  session: GuardSession<C>,
  text: string,
  context: ScanContext,
): Scan {
  const turn = session.seat.take()
  const passage = { core, session, turn, text, context }
  const refused = refuse(passage)
  if (refused !== null) return refused
  const run = (scanners: readonly AnyScanner[]): ScanRun => runScanners(core.clock, scanners, text, context)
  const runArm = (arm: ArmIndex): ScanRun | null => {
    const scanners = scannersOf(passage, arm)
    return scanners && run(scanners)
  }
  if (turn.view.contained) return contained(passage, runArm(STABLE), runArm(CANARY))
  const own = runArm(turn.arm)
  if (conclude(passage, own)) return serve(passage, own, run)
  return fallBack(passage, own, turn.arm === CANARY ? runArm(STABLE) : null)
}

/** The same for scanners that may answer later; they run side by side, each within its limit and that of its arm. */
export async function scanAsync<C extends Call>(
  core: Core<C>,
  session: GuardSession<C>,
  text: string,
  context: ScanContext,
): Promise<Scan> {
  const turn = session.seat.take()
  const passage = { core, session, turn, text, context }
  const refused = refuse(passage)
  if (refused !== null) return refused
  const { inFlight } = turn.view
  inFlight.count += 1
  try {
    return await pass(passage)
  } finally {
    inFlight.count -= 1
  }
}

async function pass<C extends Call>(passage: Passage<C>): Promise<Scan> {
  const { core, turn, text, context } = passage
  const run = (scanners: readonly AnyScanner[], arm: ArmIndex): Promise<ScanRun> =>
    runScannersAsync(core.limits[arm], scanners, text, context)
  const runArm = async (arm: ArmIndex): Promise<ScanRun | null> => {
    const scanners = scannersOf(passage, arm)
    return scanners && run(scanners, arm)
  }
  if (turn.view.contained) {
    const [stable, canary] = await Promise.all([runArm(STABLE), runArm(CANARY)])
    return contained(passage, stable, canary)
  }
  const own = await runArm(turn.arm)
  if (conclude(passage, own)) return serve(passage, own, run)
  return fallBack(passage, own, turn.arm === CANARY ? await runArm(STABLE) : null)
}

/** Null: the release is not loaded. */
function scannersOf<C extends Call>(
  { turn: { view }, context }: Passage<C>,
  arm: ArmIndex,
): readonly AnyScanner[] | null {
  const release = arm === CANARY ? view.canary : view.stable
  return release === undefined ? null : scannersFor(release.scanners ?? [], context.direction)
}

/** Answer without any scanner: in lockdown, and for what is no text. A pattern would find nothing in `undefined`. */
function refuse<C extends Call>({ core, session, turn, text }: Passage<C>): Scan | null {
  if (turn.view.lockdown) {
    core.telemetry.fallback("lockdown")
    return blocked(turn.view, "stable", "lockdown")
  }
  if (typeof text === "string") return null
  // Whoever called is to blame, so it is evidence against neither arm.
  core.telemetry.fallback("invalid")
  session.report(turn.arm, "invalid", new TypeError(`the text to scan must be a string, got ${typeof text}`))
  return blocked(turn.view, ARMS[turn.arm], "posture", "invalid")
}

/** Count one scan. False when it failed. */
function conclude<C extends Call>({ core, session, turn }: Passage<C>, run: ScanRun | null): run is ScanRun {
  const { arm } = turn
  if (run === null) {
    core.telemetry.fallback("unavailable")
    if (arm === CANARY) session.seat.leaveCanary()
    return false
  }
  for (const { scanner, report, ms, errorType, error } of run.scanned) {
    core.telemetry.scan(arm, scanner.name, report?.result ?? "error", ms)
    if (report === null) session.report(arm, errorType ?? "throw", error)
  }
  core.telemetry.findings(arm, run.findings)
  if (run.errorType !== undefined) core.telemetry.fallback(run.errorType)
  if (run.scanned.length > 0) session.tally.scan(turn, run.result, run.ms, run.errorType)
  return run.errorType === undefined
}

/** Serve the arm's own answer, and have the other arm's scanners look at the text afterwards. */
function serve<C extends Call>(
  passage: Passage<C>,
  own: ScanRun,
  run: (scanners: readonly AnyScanner[], arm: ArmIndex) => ScanRun | Promise<ScanRun>,
): Scan {
  const { session, turn, text, context } = passage
  const other = turn.arm === STABLE ? CANARY : STABLE
  const scanners = scannersOf(passage, other)
  if (scanners === null || scanners.some(({ stateful }) => stateful === true)) session.comparison.skip(turn)
  else if (own.scanned.length + scanners.length > 0) {
    session.comparison.compareScan(turn, { text, direction: context.direction }, own, () => run(scanners, other))
  }
  return answer(turn.view, turn.arm, "scanners", own)
}

/** Answer for both arms. */
function contained<C extends Call>(passage: Passage<C>, stable: ScanRun | null, canary: ScanRun | null): Scan {
  const { session, turn } = passage
  const scanOf = (arm: ArmIndex, run: ScanRun | null): Scan => {
    const failure = run === null ? "unavailable" : run.errorType
    if (conclude({ ...passage, turn: partOf(turn, arm) }, run)) return answer(turn.view, arm, "scanners", run)
    return blocked(turn.view, "stable", "posture", failure)
  }
  const own = scanOf(STABLE, stable)
  const joined = joinScans(own, scanOf(CANARY, canary))
  // Stable would have answered otherwise: from here on this is not its world.
  session.comparison.skip(partOf(turn, CANARY), joined.result !== own.result || joined.redacted !== own.redacted)
  return joined
}

/** Answer for a failed scan: with stable's, if it has one. A text that nobody could scan is not clean. */
function fallBack<C extends Call>(
  { session, turn, text, context }: Passage<C>,
  own: ScanRun | null,
  stable: ScanRun | null,
): Scan {
  const failure = own === null ? "unavailable" : own.errorType
  if (own !== null && stable !== null) {
    session.comparison.compareScan(turn, { text, direction: context.direction }, own, stable)
  }
  if (stable === null || stable.result === "error") {
    for (const { report, errorType, error } of stable?.scanned ?? []) {
      if (report === null) session.report(STABLE, errorType ?? "throw", error)
    }
    // A canary's failure, and then no stable release to turn to.
    const lost = turn.arm === CANARY ? "unavailable" : failure
    return blocked(turn.view, "stable", "posture", stable?.errorType ?? lost)
  }
  return answer(turn.view, STABLE, "fallback", stable, failure)
}

function answer(
  view: View<never>,
  arm: ArmIndex,
  source: "scanners" | "fallback",
  run: ScanRun,
  errorType?: ErrorType,
): Scan {
  return {
    // A failed scan is never served: the callers have looked.
    result: run.result as Scan["result"],
    findings: run.findings,
    arm: ARMS[arm],
    release: versionOf(view, ARMS[arm]),
    source: source === "scanners" && run.scanned.length === 0 ? "none" : source,
    redacted: run.redacted,
    errorType,
  }
}

function blocked(view: View<never>, arm: Arm, source: "posture" | "lockdown", errorType?: ErrorType): Scan {
  return { result: "blocked", findings: [], arm, release: versionOf(view, arm), source, errorType }
}

const versionOf = (view: View<never>, arm: Arm): string => (arm === "canary" ? view.canaryVersion : view.stableVersion)
