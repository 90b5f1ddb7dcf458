import type { Call } from "../model/call.js"
import type { Clock } from "../model/clock.js"
import type { Arm, Decision, Effect, ErrorType, Finding, Outcome, ScanResult } from "../model/decision.js"
import type { FollowerProblem } from "../model/follower-problem.js"
import type { Stratum } from "../model/evidence.js"
import { createStratum } from "../evidence/cells.js"
import { createDiffs } from "../evidence/diffs.js"
import type { Diffs } from "../evidence/diffs.js"
import { createScanDiffs } from "../evidence/scan-diffs.js"
import type { ScanDiffs } from "../evidence/scan-diffs.js"
import type { Direction } from "../release/ports.js"
import type { Telemetry } from "../telemetry/telemetry.js"
import type { BlownFuse, Fuse } from "./fuse.js"
import type { Limit } from "./judge.js"
import type { Recognise } from "./once.js"
import type { Recorder } from "./recorder.js"
import type { ShadowQueue } from "./shadow.js"
import type { Traces } from "./traces.js"
import type { View } from "./view.js"

/** One side of a disagreement. */
export interface Side {
  readonly outcome: Outcome
  readonly rule?: string | undefined
  readonly reason?: string | undefined
}

/** One side of a disagreement over a text. */
export interface ScanSide {
  readonly result: ScanResult
  readonly findings: readonly Finding[]
}

/** What happened, for logs and examples. Never sent anywhere by serin itself: it may hold the call, or the text. */
export type GuardEvent<C = Call> =
  | {
      readonly type: "disagreement"
      readonly sessionId: string
      readonly served: Arm
      readonly call: C
      readonly stable: Side
      readonly canary: Side
    }
  | {
      readonly type: "scan_disagreement"
      readonly sessionId: string
      readonly served: Arm
      readonly direction: Direction
      readonly text: string
      readonly stable: ScanSide
      readonly canary: ScanSide
    }
  | {
      readonly type: "error"
      readonly sessionId: string
      readonly arm: Arm
      readonly errorType: ErrorType
      readonly error: unknown
    }
  /**
   * What became of a tool's call that was escalated. `by`: the host's channel, the runtime's own approval, or the default, where nobody was
   * asked. `error`: the channel's own.
   */
  | {
      readonly type: "escalation"
      readonly sessionId: string
      readonly callId?: string | undefined
      readonly call: C
      readonly decision: Decision
      readonly approved: boolean
      readonly by: "channel" | "runtime" | "default"
      readonly error?: unknown
    }
  /** Something about following the store begins to be wrong. */
  | { readonly type: "problem"; readonly code: FollowerProblem; readonly message: string }
  | { readonly type: "unknown_release"; readonly arm: Arm; readonly version: string }
  | ({ readonly type: "fuse" } & BlownFuse)
  /** The guard is used in a way that is hardly meant; told once for each `what`. */
  | { readonly type: "misuse"; readonly what: Misuse; readonly message: string }
  | { readonly type: "applied"; readonly revision: number; readonly phase: string }

/**
 * `started_at`: no time that a session can have begun; `session`: `session` of `wrap` or of a tool throws; `no_releases`: nothing to judge with;
 * `call_options`: an option of `evaluate` or `scan` that there is not, or a `callId` that is no text; `tool_call`: `call` of a tool throws;
 * `unguarded_tools`: an adapter was given tools that are not run where it could stop them.
 */
export type Misuse = "started_at" | "session" | "no_releases" | "call_options" | "tool_call" | "unguarded_tools"

/** What a call is answered that stable could not judge: a denial, an escalation, or the error. */
export type OnStableError = "deny" | "escalate" | "throw"

/** What is counted in one generation. A new generation has a new book; late results of the old one go into the old one. */
export interface Book {
  readonly generation: number
  /** Says which generation of that number: where a store lost one, the next has it again. */
  readonly salt: string
  readonly strata: Stratum[]
  readonly diffs: Diffs
  readonly scanDiffs: ScanDiffs
  /** Sessions that the canary has served. */
  canarySessions: number
  /** Calls for both arms to judge; those that both have judged; those that found the queue full. */
  sampled: number
  judged: number
  dropped: number
}

/** What all sessions of a guard share. */
export interface Core<C extends Call> {
  view: View<C>
  book: Book
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly shadow: ShadowQueue
  /** Null: nobody wants to be told. */
  readonly recorder: Recorder | null
  /** Null: nobody traces, and nobody takes events. */
  readonly traces: Pick<Traces, "escalation"> | null
  /** Null: turned off. */
  readonly fuse: Fuse | null
  /** Null: the canary may serve whoever leads. Never throws. */
  readonly leaseOver: (() => boolean) | null
  readonly async: boolean
  /** The host gave releases; else it uses `wrap` alone, if it knows what it does. */
  readonly hasReleases: boolean
  /** How long an asynchronous answer of each arm is waited for. */
  readonly limits: readonly [stable: Limit, canary: Limit]
  readonly onStableError: OnStableError
  readonly recognise: Recognise
  /** Pairs of functions that were wrapped: each has its own call ids. */
  wraps: number
  /** From this call on: no session is the canary's, until the state or the lease changes. */
  suspend(): void
  /** Tell of a misuse, once for each kind: as an event, or, where nobody listens, as a warning of the process. */
  misuse(what: Misuse, describe: () => string): void
  /** The host's listener, made safe: a throw in it goes nowhere. */
  emit(event: GuardEvent<C>): void
}

/** Effect served when stable itself failed; `throw` denies where nothing can be thrown. */
export const postureOf = (onStableError: OnStableError): Effect => (onStableError === "escalate" ? "escalate" : "deny")

/** Make the book of a generation; `openStrata` gives it its pages. */
export const createBook = (generation: number, salt: string): Book => ({
  generation,
  salt,
  strata: [],
  diffs: createDiffs(),
  scanDiffs: createScanDiffs(),
  canarySessions: 0,
  sampled: 0,
  judged: 0,
  dropped: 0,
})

/** Share of the sampled calls that both arms have judged, [0, 1]; null: none was sampled. */
export const coverageOf = ({ sampled, judged }: Book): number | null => (sampled === 0 ? null : judged / sampled)

/** One stratum for sessions from before the ramp and one for each entry of it. */
export function openStrata(book: Book, entries: number): void {
  while (book.strata.length < entries + 1) book.strata.push(createStratum())
}
