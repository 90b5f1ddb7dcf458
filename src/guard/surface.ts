import type { Diff } from "../evidence/diffs.js"
import type { ScanDiff } from "../evidence/scan-diffs.js"
import type { Call } from "../model/call.js"
import type { Arm, Decision, Scan } from "../model/decision.js"
import type { Evidence } from "../model/evidence.js"
import type { Alert } from "../release/ports.js"
import type { Assignment } from "./assignment.js"
import type { BlownFuse } from "./fuse.js"
import type { Mode } from "./guard-options.js"
import type { EvaluateOptions, ScanOptions, SessionOptions } from "./session.js"
import type { ShadowStatus } from "./shadow.js"
import type { Guarded, ToolOptions } from "./tool.js"
import type { ToolPort, ToolPortOptions } from "./tool-port.js"
import type { WrapOptions } from "./wrap.js"

/** What a guard of this mode answers. */
export type Answer<M extends Mode, T> = M extends "async" ? Promise<T> : T

/** One agent conversation or run. Keep it or ask again: the arm is the same. */
export interface Session<C extends Call, M extends Mode> {
  readonly sessionId: string
  readonly startedAt: number
  /** The arm in force now; goes from canary to stable on rollback and kill, and never the other way. */
  readonly arm: Arm
  /**
   * The config of the release that serves the session now, frozen; undefined when it has none. The canary's for a session of
   * the canary, else stable's, also after rollback and kill. Reading it counts as being served, so that arm and config agree.
   */
  readonly config: unknown
  /** The library that this release was made for, or any other that it brings: `sdk` of the release, chosen as `config` is. */
  readonly sdk: unknown
  /** What serves the session now, and why. To look counts for nothing. */
  assignment(): Assignment
  /** Judge one call. Never throws, but for `onStableError: "throw"`; in an async guard never rejects, but for the same. */
  evaluate(call: C, options?: EvaluateOptions): Answer<M, Decision>
  /** Scan one text with all scanners of the session's arm. Never throws. A text that could not be scanned is `blocked`. */
  scan(text: string, options: ScanOptions): Answer<M, Scan>
  /** Show an event to the monitor of the session's arm. Never throws: a monitor that fails raises `monitor_failed`. */
  observe(event: unknown): readonly Alert[]
}

/** What the host calls. */
export interface Guard<C extends Call = Call, M extends Mode = "sync"> {
  /** Name of the rollout. */
  readonly rollout: string
  /**
   * Find or make a session; cheap. Throws `SESSION_ID_INVALID` for an id that is not a string or is empty, and, when it makes one,
   * `TypeError` for options that there are not or a `startedAt` that is no number. A number that no session began at is told of
   * (`misuse`) and throws nothing: it may come from data.
   */
  session(id: string, options?: SessionOptions): Session<C, M>
  /** Judge a call that belongs to no session: stable answers, it is counted, and it is evidence for nothing. */
  readonly sessionless: Session<C, M>
  /**
   * Run `fn` so that `current()` and `evaluate()`, in everything that it calls, however deep and however late, belong to this
   * session. Answers what `fn` answers.
   */
  withSession<T>(id: string, fn: () => T, options?: SessionOptions): T
  /** The session of the `withSession` around this code; `sessionless` outside of any. */
  current(): Session<C, M>
  /** Judge one call of the current session. */
  evaluate(call: C, options?: EvaluateOptions): Answer<M, Decision>
  /** Make one function of two policy-evaluate functions; same signature, same `this`, sync stays sync. */
  wrap<F extends (...args: never[]) => unknown>(
    stable: F,
    canary: NoInfer<F>,
    options: WrapOptions<Parameters<F>, ReturnType<F>>,
  ): F
  /** Put the guard before a function that is a tool of an agent: it runs only when the guard allows the call. */
  tool<F extends (...args: never[]) => unknown>(name: string, fn: F, options?: ToolOptions<C, F>): Guarded<F, M>
  /**
   * Make the port through which an adapter of a runtime asks about calls of tools. `name`: the adapter's, for what is told of its options;
   * `asks`: the runtime has an approval of its own. Throws `TypeError` for options that there are not.
   */
  toolPort<X>(name: string, options?: ToolPortOptions<C, X>, runtime?: { readonly asks: boolean }): ToolPort<C, X>
  /** Counts of the generation in force; live, so copy it (`snapshotEvidence`) to keep it. */
  evidence(): Evidence
  /** Disagreements between the arms by action and rule, most frequent first. */
  diffs(): readonly Diff[]
  /** Disagreements between the arms' scanners by direction, scanner and category, most frequent first. */
  scanDiffs(): readonly ScanDiff[]
  /** How far the other arm's judgement has come, and what it takes. */
  shadow(): ShadowStatus
  /** Why this process keeps every session on stable; null while the fuse is whole. */
  fuse(): BlownFuse | null
  /**
   * Put a new fuse in: sessions may be the canary's again, but for those that stable has served. Does nothing while the fuse is whole. Calls
   * that are pending count for the new one. Its hold ends with the next judgement.
   */
  resetFuse(): void
  /**
   * Call `listener` when another release may serve than before: the state changed, the fuse, what is loaded, or whether somebody leads. Never in
   * the middle of a call; what it throws is dropped. The answer stops it.
   */
  onChange(listener: () => void): () => void
  /** Look at the releases again, after one was loaded. Throws `RELEASE_INVALID` for one that cannot be run: it is left out. */
  refresh(): void
  /** Versions that answer now, and those that asynchronous calls under way began on: whoever made them must not end them yet. */
  inUse(): ReadonlySet<string>
  /** Resolve when all calls waiting for the other arm have been judged, and the decision log has taken what waits (2 s at most). */
  idle(): Promise<void>
  /**
   * Stop listening, hand what was counted to OpenTelemetry, and answer calls as before. All at once, but for a decision log: the promise
   * resolves when it has taken what waits, after 2 s at most. Never rejects.
   */
  close(): Promise<void>
}
