import type { Judged, Limit } from "../guard/judge.js"
import type { ScanRun } from "../guard/scan-run.js"
import type { Call } from "../model/call.js"
import { systemClock, type Clock } from "../model/clock.js"
import { OUTCOMES } from "../model/decision.js"
import type { ErrorType, Finding, Outcome, ScanResult } from "../model/decision.js"
import type { DecisionEntry, PairEntry, PairSide } from "../model/decision-entry.js"
import type { ReplayableRelease } from "../replay.js"
import { asker } from "./ask.js"
import { comparedScanners } from "./scanners.js"

/** What one release makes of a call now, and what it made of it then. */
export interface ReplayedCall {
  readonly release: string
  /** Null: it was made in code. */
  readonly digest: string | null
  readonly outcome: Outcome
  readonly rule: string | null
  readonly reason: string | null
  readonly errorType: ErrorType | null
  readonly durationMs: number
  /** Of the text that was handed in; null: none was, or no scanner looks at it. */
  readonly scan: { readonly result: ScanResult; readonly findings: readonly Finding[] } | null
  /** As the log has it; null: it has no pair of this call. */
  readonly logged: Pick<PairSide, "release" | "outcome" | "rule"> | null
}

export interface CallReplay {
  readonly format: "serin/call-replay/1"
  /** Of the decision in the log. */
  readonly id: string
  readonly session: string | null
  /** When it was decided, ms since the epoch. */
  readonly at: number
  /**
   * How much of the call the log holds. `exact`: as it was decided. `redacted`: a redaction made it what it is, so a rule may see something else now.
   * `none`: its input was left out; nothing is replayed.
   */
  readonly fidelity: "exact" | "redacted" | "none"
  /** Null: it was not replayed. */
  readonly replayed: { readonly stable: ReplayedCall; readonly canary: ReplayedCall } | null
  /** Whether both answer as the log says that they did; null: not replayed, or no pair in the log. */
  readonly repeats: boolean | null
  /** What must be known to believe it. */
  readonly notes: readonly string[]
}

export interface ReplayOneOptions {
  readonly stable: ReplayableRelease
  readonly canary: ReplayableRelease
  readonly decision: DecisionEntry
  /** Null: the log has none. */
  readonly pair: PairEntry | null
  /** A text that goes into the model, for the scanners: a log holds none. */
  readonly text?: string | undefined
  /** Longest wait for an answer that comes later, ms. Default 1,000. */
  readonly timeoutMs?: number | undefined
  readonly clock?: Clock | undefined
}

/**
 * Have both releases judge one call of a decision log again, and say which rule fired in each. Says where it cannot be known whether that is the
 * call that was decided. Runs nothing that is marked `stateful`: what it remembers is not in the log, and asking may change it.
 */
export async function replayOne(options: ReplayOneOptions): Promise<CallReplay> {
  const { stable, canary, decision, pair, text, timeoutMs = 1000, clock = systemClock } = options
  const base = { format: "serin/call-replay/1", id: decision.id, session: decision.sessionId, at: decision.at } as const
  const held = heldOf(decision)
  const none = (note: string): CallReplay => ({
    ...base,
    fidelity: held,
    replayed: null,
    repeats: null,
    notes: [note],
  })
  if (held === "none") return none("the log does not hold the call's input, so it cannot be replayed")
  const stateful = [stable, canary].filter(({ policy }) => policy.stateful === true).map(({ version }) => version)
  if (stateful.length > 0) {
    return none(
      `not replayed: the policy of ${stateful.join(" and of ")} remembers calls, and what it remembered then is not in the log`,
    )
  }

  const limit: Limit = { clock, timeoutMs, onLate: () => {} }
  const notes: string[] = []
  const context = { sessionId: decision.sessionId ?? "", startedAt: decision.startedAt ?? 0 }
  const ask = (release: ReplayableRelease): Judged | Promise<Judged> =>
    asker(limit, release.policy)(structuredClone(decision.call) as Call, { ...context })
  const [was, is] = [await ask(stable), await ask(canary)]
  const scanTexts = text === undefined ? null : comparedScanners(limit, [stable, canary], false, notes)
  const scans = text === undefined ? null : ((await scanTexts?.(text, context.sessionId)) ?? null)
  const replayed = {
    stable: replayedBy(stable, was, scans?.[0], pair?.stable),
    canary: replayedBy(canary, is, scans?.[1], pair?.canary),
  }
  const arms = Object.values(replayed)
  const repeats = pair === null ? null : arms.every(isAsLogged)
  const others = arms.filter(({ release, logged }) => logged !== null && logged.release !== release)
  for (const { release, logged } of others) notes.push(`judged by ${release}, and then by ${logged?.release}`)
  if (held === "redacted") notes.push("the call was redacted: a rule may have seen what is not here")
  if (repeats === false)
    notes.push("the answers are not those of the log: this is not the call, or not the release, that decided then")
  if (scanners([stable, canary]) && text === undefined) notes.push("no scanner ran: a decision log holds no texts")
  return { ...base, fidelity: held, replayed, repeats, notes }
}

function heldOf(decision: DecisionEntry): CallReplay["fidelity"] {
  const call = decision.call as Partial<Call> | null
  if (typeof call?.action !== "string" || decision.incomplete === true) return "none"
  if (decision.redacted !== true) return "exact"
  return call.input === undefined ? "none" : "redacted"
}

function replayedBy(
  { version, digest }: ReplayableRelease,
  { outcome, rule, reason, errorType, error, ms }: Judged,
  scan: ScanRun | undefined,
  logged: PairSide | undefined,
): ReplayedCall {
  return {
    release: version,
    digest: digest ?? null,
    outcome: OUTCOMES[outcome]!,
    rule: rule ?? null,
    reason: reason ?? (error instanceof Error ? error.message : null),
    errorType: errorType ?? null,
    durationMs: ms,
    scan: scan === undefined ? null : { result: scan.result, findings: scan.findings },
    logged: logged === undefined ? null : { release: logged.release, outcome: logged.outcome, rule: logged.rule },
  }
}

const isAsLogged = ({ outcome, rule, logged }: ReplayedCall): boolean =>
  logged?.outcome === outcome && (logged.rule ?? null) === rule

const scanners = (releases: readonly ReplayableRelease[]): boolean =>
  releases.some(({ scanners }) => (scanners ?? []).length > 0)
