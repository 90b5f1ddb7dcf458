import { AsyncLocalStorage } from "node:async_hooks"
import { SerinError } from "./errors.js"
import type { Call } from "./model/call.js"
import { systemClock } from "./model/clock.js"
import { createListeners } from "./model/listeners.js"
import type { Arm, Decision, Scan } from "./model/decision.js"
import type { Evidence } from "./model/evidence.js"
import type { ReadProblem } from "./model/follower-problem.js"
import type { Diff } from "./evidence/diffs.js"
import type { ScanDiff } from "./evidence/scan-diffs.js"
import type { Alert } from "./release/ports.js"
import { phaseOf } from "./rollout/phase.js"
import { recent } from "./session/recent.js"
import { startTimeOf } from "./session/start-time.js"
import { complainOnce } from "./telemetry/complaint.js"
import { createTelemetry } from "./telemetry/telemetry.js"
import type { Assignment } from "./guard/assignment.js"
import { createBook, coverageOf, openStrata } from "./guard/core.js"
import { createFuse } from "./guard/fuse.js"
import type { BlownFuse } from "./guard/fuse.js"
import { countedIn, gaugesOf } from "./guard/gauges.js"
import { letGo } from "./guard/judge.js"
import type { Limit } from "./guard/judge.js"
import { CANARY, STABLE } from "./guard/seat.js"
import type { Core, Misuse } from "./guard/core.js"
import { createDecisionLog } from "./guard/decision-log.js"
import { recorderOf } from "./guard/recorder.js"
import { checkOptions, timeoutsOf } from "./guard/guard-options.js"
import type { GuardOptions, Mode } from "./guard/guard-options.js"
import { checkSession, doubtIn } from "./guard/session-options.js"
import { GuardSession } from "./guard/session.js"
import type { EvaluateOptions, ScanOptions, SessionOptions } from "./guard/session.js"
import { createShadowQueue } from "./guard/shadow.js"
import type { ShadowStatus } from "./guard/shadow.js"
import { createGate } from "./guard/gate.js"
import type { Gate } from "./guard/gate.js"
import { createTraces } from "./guard/traces.js"
import { compileView, suspend } from "./guard/view.js"
import type { AnyRelease, View } from "./guard/view.js"
import { guardFunction } from "./guard/tool.js"
import type { Guarded, ToolOptions } from "./guard/tool.js"
import { createToolPort } from "./guard/tool-port.js"
import type { SessionRef, ToolPort, ToolPortOptions } from "./guard/tool-port.js"
import { wrapFunctions } from "./guard/wrap.js"
import type { WrapOptions } from "./guard/wrap.js"

export type { HistogramPoint, MetricReading, MetricSink, MetricsReading, NumberPoint } from "./telemetry/reading.js"

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

/**
 * Make a guard over releases and a rollout state that somebody else keeps up to date; `embed()` does all of it.
 * Throws `TypeError` for options that there are not, `RangeError` for limits that are not positive, and `RELEASE_INVALID` for a release
 * that cannot be run.
 */
export function createGuard<C extends Call = Call>(
  options: GuardOptions<C, "async"> & { async: true },
): Guard<C, "async">
export function createGuard<C extends Call = Call>(options: GuardOptions<C, "sync"> & { async?: false }): Guard<C>
export function createGuard<C extends Call = Call>(
  options: GuardOptions<C, Mode> & { async?: boolean },
): Guard<C> | Guard<C, "async"> {
  checkOptions(options)
  const { state, bootstrap, clock = systemClock, onEvent, onStableError = "deny", recognise = "call-id" } = options
  const releases = createGate<AnyRelease<C>>(options.releases ?? new Map())
  releases.require()
  const timeoutMs = timeoutsOf(options.timeoutMs)
  const sessions = recent<GuardSession<C>>(options.sessionMemory ?? 20_000)
  // What may throw comes before what has a timer.
  const shadow = createShadowQueue(options.shadow ?? {}, clock, () => telemetry.shadow("failed"))
  const fuse =
    options.fuse === false ? null : createFuse(options.fuse === undefined ? {} : options.fuse, () => clock.now(), blow)
  fuse?.reset(state.current()?.spec.intent ?? null)
  let made: Core<C> | null = null
  const telemetry = createTelemetry({
    rollout: options.rollout,
    clock,
    meterProvider: options.meterProvider,
    metrics: options.metrics,
    evidence: options.evidenceMetrics === true ? () => countedIn(made) : undefined,
    gauges: () => {
      const now = clock.now()
      return gaugesOf(state, now, made)
    },
  })
  const complain = complainOnce()
  const log =
    options.decisionLog === undefined
      ? null
      : createDecisionLog(options.decisionLog, {
          rollout: options.rollout,
          clock,
          count: telemetry.decisionLog,
          complain,
        })
  const traces = createTraces(options, { rollout: options.rollout, clock, complain })

  const told = new Set<Misuse>()
  const limitOf = (arm: 0 | 1): Limit => ({ clock, timeoutMs: timeoutMs[arm], onLate: () => telemetry.late(arm) })
  const core: Core<C> = {
    view: compileView(state.current(), releases, null, { leaseOver: isLeaseOver(), bootstrap }),
    book: createBook(state.current()?.generation ?? 0, state.current()?.salt ?? ""),
    clock,
    telemetry,
    shadow,
    recorder: recorderOf([log, traces]),
    traces,
    fuse,
    leaseOver: state.leaseOver === undefined ? null : isLeaseOver,
    async: options.async ?? false,
    limits: [limitOf(STABLE), limitOf(CANARY)],
    onStableError,
    recognise,
    wraps: 0,
    suspend() {
      core.view = suspend(core.view)
    },
    hasReleases: options.releases !== undefined,
    misuse(what, describe) {
      if (told.has(what)) return
      told.add(what)
      try {
        const message = describe()
        if (onEvent === undefined) process.emitWarning(message, { type: "SerinWarning", code: what })
        else core.emit({ type: "misuse", what, message })
      } catch {
        return // an error of the host's that cannot be shown
      }
    },
    emit(event) {
      if (onEvent === undefined) return
      // A listener must not be able to change what is decided, now or later.
      try {
        letGo(onEvent(event))
      } catch {
        return
      }
    },
  }
  made = core
  openStrata(core.book, core.view.ramp.length)
  reportUnknown(core, releases)
  const sessionless = new GuardSession<C>(core, "", 0, undefined, "none")

  const changes = createListeners<void>()
  const leaving = new Set<View<C>>()
  /** Who cannot tell must not be served by the canary. */
  function isLeaseOver(): boolean {
    try {
      return state.leaseOver?.() ?? false
    } catch {
      return true
    }
  }

  const isBlown = (): boolean => fuse !== null && fuse.blown() !== null

  /** From the next call on; the call that blew it is answered as any that the canary fails. */
  function blow(blown: BlownFuse): void {
    core.view = { ...core.view, canaryServes: false, fuseBlown: true, displaced: true }
    telemetry.fuse(blown.cause)
    core.emit({ type: "fuse", ...blown })
    queueMicrotask(changes.tell)
  }

  function leave(view: View<C>): void {
    inUse() // forgets those that are done
    if (view.inFlight.count > 0) leaving.add(view)
  }

  /** Releases that are superseded, and books that are closed, are held by what is under way alone, and by no session that sleeps. */
  function forgetInSessions(): void {
    for (const session of sessions.values()) session.forget()
    sessionless.forget()
  }

  function inUse(): ReadonlySet<string> {
    for (const view of leaving) if (view.inFlight.count === 0) leaving.delete(view)
    const used = [core.view, ...leaving].flatMap(({ stable, canary }) => [stable?.version, canary?.version])
    return new Set(used.filter((version) => version !== undefined))
  }

  function apply(): void {
    takeIn()
    changes.tell()
  }

  function takeIn(): void {
    const previous = core.view
    const next = state.current()
    const { generation = 0, salt = "" } = next ?? {}
    const isAnother = generation !== core.book.generation || salt !== core.book.salt
    if (isAnother) {
      core.book = createBook(generation, salt)
      fuse?.reset(next?.spec.intent ?? null)
    }
    core.view = compileView(next, releases, previous, { fuseBlown: isBlown(), leaseOver: isLeaseOver(), bootstrap })
    const isSuperseded = core.view.stable !== previous.stable || core.view.canary !== previous.canary
    if (isSuperseded) leave(previous)
    if (isSuperseded || isAnother) forgetInSessions()
    openStrata(core.book, core.view.ramp.length)
    // What waits was asked of releases that are no longer compared.
    if (core.view.sampleBp === 0 || isAnother) core.shadow.clear()
    const current = core.view.state
    if (current === null || current.revision === previous.state?.revision) return
    telemetry.transition(current.last.event)
    traces?.transition(current)
    core.emit({ type: "applied", revision: current.revision, phase: phaseOf(current).phase })
    reportUnknown(core, releases)
  }

  function sessionOf(id: string | undefined, options?: SessionOptions): GuardSession<C> {
    if (typeof id !== "string" || id === "") return sessionless
    return sessions.get(id) ?? begin(id, options)
  }

  function begin(id: string, options: SessionOptions = {}): GuardSession<C> {
    checkSession(options)
    const { startedAt, attributes, arm } = options
    const now = clock.now()
    const doubt = startedAt === undefined ? undefined : doubtIn(startedAt, now)
    if (doubt !== undefined) core.misuse("started_at", () => doubt)
    const start = Number.isFinite(startedAt) ? startedAt! : (startTimeOf(id, now) ?? now)
    const session = new GuardSession(core, id, start, attributes, arm)
    sessions.set(id, session)
    return session
  }

  const sessionAt = (ref?: SessionRef): GuardSession<C> =>
    typeof ref === "object" ? sessionOf(ref.id, ref) : sessionOf(ref)

  const tellOf = ({ code, message }: ReadProblem): void => core.emit({ type: "problem", code, message })
  for (const problem of state.problems?.() ?? []) tellOf(problem)
  const unsubscribe = [state.onChange(apply), state.onProblem?.(tellOf)]
  const running = new AsyncLocalStorage<GuardSession<C>>()

  const guard = {
    rollout: options.rollout,
    session(id: string, sessionOptions?: SessionOptions) {
      if (typeof id !== "string" || id === "") {
        const got = id === "" ? "an empty string" : typeof id
        throw new SerinError(
          "SESSION_ID_INVALID",
          `session id must be a non-empty string, got ${got}; use guard.sessionless for calls that belong to no session`,
        )
      }
      return sessionOf(id, sessionOptions)
    },
    sessionless,
    withSession: <T>(id: string, fn: () => T, sessionOptions?: SessionOptions): T =>
      running.run(guard.session(id, sessionOptions), fn),
    current: () => running.getStore() ?? sessionless,
    evaluate: (call: C, evaluateOptions?: EvaluateOptions) => guard.current().evaluate(call, evaluateOptions),
    wrap: <A extends unknown[], R>(
      stable: (...args: A) => R,
      canary: (...args: A) => R,
      wrapOptions: WrapOptions<A, R>,
    ) => wrapFunctions(core, sessionOf, stable, canary, wrapOptions),
    tool: (name: string, fn: (...args: unknown[]) => unknown, toolOptions?: ToolOptions<C, typeof fn>) =>
      guardFunction(guard.toolPort, name, fn, toolOptions),
    toolPort: <X>(name: string, portOptions?: ToolPortOptions<C, X>, runtime?: { readonly asks: boolean }) =>
      createToolPort(core, sessionAt, guard.current, name, portOptions, runtime?.asks),
    evidence: () => ({ generation: core.book.generation, salt: core.book.salt, strata: core.book.strata }),
    diffs: () => core.book.diffs.list(),
    scanDiffs: () => core.book.scanDiffs.list(),
    shadow: () => ({
      coverage: coverageOf(core.book),
      cpuShare: core.shadow.cpuShare(),
      waiting: core.shadow.waiting(),
      dropped: core.book.dropped,
    }),
    fuse: () => fuse?.blown() ?? null,
    onChange: changes.add,
    resetFuse() {
      if (!isBlown()) return
      fuse?.reset(core.view.state?.spec.intent ?? null)
      apply()
    },
    refresh() {
      apply()
      releases.require()
    },
    inUse,
    async idle() {
      await core.shadow.idle()
      await log?.flush()
    },
    async close() {
      for (const end of unsubscribe) end?.()
      core.shadow.close()
      traces?.close()
      // What became of the last entries is counted, too.
      if (log !== null) await log.close()
      telemetry.close()
    },
  }
  // The class answers values or promises by `core.async`; the overloads above say which.
  return guard as unknown as Guard<C>
}

function reportUnknown(core: Core<never>, releases: Gate<object>): void {
  const { state } = core.view
  if (!core.hasReleases || state === null) return
  if (!releases.has(state.stable)) core.emit({ type: "unknown_release", arm: "stable", version: state.stable })
  if (state.canary !== null && !releases.has(state.canary)) {
    core.emit({ type: "unknown_release", arm: "canary", version: state.canary })
  }
}
