import { AsyncLocalStorage } from "node:async_hooks"
import { SerinError } from "./errors.js"
import type { Call } from "./model/call.js"
import { systemClock } from "./model/clock.js"
import { createListeners } from "./model/listeners.js"
import type { ReadProblem } from "./model/follower-problem.js"
import { phaseOf } from "./rollout/phase.js"
import { recent } from "./session/recent.js"
import { startTimeOf } from "./session/start-time.js"
import { complainOnce } from "./telemetry/complaint.js"
import { createTelemetry } from "./telemetry/telemetry.js"
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
import type { EvaluateOptions, SessionOptions } from "./guard/session.js"
import { createShadowQueue } from "./guard/shadow.js"
import type { Guard } from "./guard/surface.js"
import { createGate } from "./guard/gate.js"
import type { Gate } from "./guard/gate.js"
import { createTraces } from "./guard/traces.js"
import { compileView, suspend } from "./guard/view.js"
import type { AnyRelease, View } from "./guard/view.js"
import { guardFunction } from "./guard/tool.js"
import type { ToolOptions } from "./guard/tool.js"
import { createToolPort } from "./guard/tool-port.js"
import type { SessionRef, ToolPortOptions } from "./guard/tool-port.js"
import { wrapFunctions } from "./guard/wrap.js"
import type { WrapOptions } from "./guard/wrap.js"

export type { Answer, Guard, Session } from "./guard/surface.js"
export type { HistogramPoint, MetricReading, MetricSink, MetricsReading, NumberPoint } from "./telemetry/reading.js"

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
