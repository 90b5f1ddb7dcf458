import type { MeterProvider } from "@opentelemetry/api"
import type { Call } from "../model/call.js"
import { requireClock } from "../model/clock.js"
import type { Clock } from "../model/clock.js"
import type { DecisionSink } from "../model/decision-entry.js"
import type { ReadProblem } from "../model/follower-problem.js"
import { refuseUnknown, requireMethods } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import type { Evaluation, Release, ScanReport } from "../release/ports.js"
import type { RolloutState } from "../rollout/state.js"
import type { MetricSink } from "../telemetry/reading.js"
import type { GuardEvent, OnStableError } from "./core.js"
import type { DecisionLogOptions } from "./decision-log.js"
import type { FuseOptions } from "./fuse.js"
import type { Recognise } from "./once.js"
import type { ShadowOptions } from "./shadow.js"
import type { TraceOptions } from "./traces.js"

/** Where the guard reads the rollout: it never polls and never waits. */
export interface StateReader {
  /** The last state that was verified; null before the first. */
  current(): RolloutState | null
  /** When `current` was last confirmed by the store, ms since the epoch. */
  confirmedAt?(): number
  /**
   * Whether the canary must not serve here for now, because nobody is known to lead. Asked before each call that the canary would serve, so it
   * must be cheap; a throw is a yes. Absent: it may for ever.
   */
  leaseOver?(): boolean
  /** What is wrong with following, now. */
  problems?(): readonly ReadProblem[]
  /** Call `listener` after each change of `current` and `leaseOver`; the answer stops it. */
  onChange(listener: () => void): () => void
  /** Call `listener` when something begins to be wrong; the answer stops it. */
  onProblem?(listener: (problem: ReadProblem) => void): () => void
}

/** `sync`: decisions are values, and a policy that answers a promise is an error; `async`: decisions are promises. */
export type Mode = "sync" | "async"

/** A release that a guard of this mode can run. */
export type ReleaseFor<C extends Call, M extends Mode> = M extends "async"
  ? Release<C, Evaluation | Promise<Evaluation>, ScanReport | Promise<ScanReport>>
  : Release<C, Evaluation, ScanReport>

/** Options of `createGuard()`. */
export interface GuardOptions<C extends Call, M extends Mode> extends TraceOptions {
  /** Name of the rollout, as in its spec: 1–63 characters. */
  readonly rollout: string
  readonly state: StateReader
  /** Loaded releases by version. Read again on every change of state and on `refresh()`. Not needed for `wrap`. */
  readonly releases?: ReadonlyMap<string, ReleaseFor<C, M>> | undefined
  /** The release that serves while there is no state, and where that of the state was never loaded. `connect()` asks for one. */
  readonly bootstrap?: string | undefined
  /** What a stable release that fails means: `deny` (default), `escalate`, or `throw` its own error into the host. */
  readonly onStableError?: OnStableError | undefined
  /** Longest wait for an asynchronous policy or scanner, ms. Default 1,000 for each arm. Does not bound `wrap`'s stable function. */
  readonly timeoutMs?:
    number | { readonly stable?: number | undefined; readonly canary?: number | undefined } | undefined
  /**
   * How a call that is asked again is recognised. Default `call-id`: by the `callId` that `evaluate` is given. `content`: also, without an
   * id, by its action and input (and nothing else in it may differ), among the last 64 of a session. A call that an agent repeats on
   * purpose is then decided and counted once too; where a release's policy is `stateful`, only an id counts.
   */
  readonly recognise?: Recognise | undefined
  /** Listen to what happens. Called after the answer where it can be; its exceptions are swallowed. */
  readonly onEvent?: ((event: GuardEvent<C>) => void) | undefined
  /** Default: the global OpenTelemetry provider, found again when it is registered late or replaced. */
  readonly meterProvider?: MeterProvider | undefined
  /** Have metrics read at collection by a `metricProducer()` instead: a decision then calls no instrument. */
  readonly metrics?: MetricSink | undefined
  /** Export the evidence with the metrics, for a leader that reads it from Prometheus. Default false: it stays in the process. */
  readonly evidenceMetrics?: boolean | undefined
  /** Have every decision and scan written down. Default: nothing is. Who made the sink closes it, after the guard. */
  readonly decisionLog?: DecisionSink | DecisionLogOptions | undefined
  readonly clock?: Clock | undefined
  /**
   * Sessions remembered, 1 or more; about 0.7 KB each, at most twice as many are held. Default 20,000. A session that was
   * forgotten counts as new when it comes back, unless `startedAt` or its id tells when it began.
   */
  readonly sessionMemory?: number | undefined
  /** What judging calls with the other arm may cost: calls that wait, share of a core, how many at once. */
  readonly shadow?: ShadowOptions | undefined
  /** When this process goes to stable by itself, without waiting for a judgement. `false`: never. */
  readonly fuse?: FuseOptions | false | undefined
}

/** Every option that there is. */
export const GUARD_KEYS: KeysOf<GuardOptions<Call, Mode> & { readonly async: boolean }> = {
  rollout: true,
  state: true,
  releases: true,
  bootstrap: true,
  async: true,
  onStableError: true,
  timeoutMs: true,
  recognise: true,
  onEvent: true,
  meterProvider: true,
  metrics: true,
  evidenceMetrics: true,
  clock: true,
  sessionMemory: true,
  shadow: true,
  decisionLog: true,
  fuse: true,
  tracing: true,
  tracerProvider: true,
  logger: true,
}
const FUSE_KEYS: KeysOf<FuseOptions> = { consecutiveErrors: true, threshold: true }
const SHADOW_KEYS: KeysOf<ShadowOptions> = { queue: true, cpuShare: true, concurrency: true }

/** Throw `TypeError` for an option that there is not, or a word that none takes. */
export function checkOptions<C extends Call>(options: GuardOptions<C, Mode>): void {
  if (options === undefined || options === null) {
    throw new TypeError(
      `createGuard takes its options as an object, got ${String(options)}; embed() brings a state of its own`,
    )
  }
  refuseUnknown("createGuard", options, GUARD_KEYS)
  const { rollout, state, releases, clock } = options
  if (typeof rollout !== "string" || rollout === "") {
    const got = rollout === "" ? "an empty text" : typeof rollout
    throw new TypeError(`rollout must be the name of the rollout, as in its file, got ${got}`)
  }
  requireMethods("state", state, ["current", "onChange"], "embed() brings one of its own")
  if (releases !== undefined) {
    requireMethods("releases", releases, ["get", "keys"], "wrap a plain object in new Map(Object.entries(…))")
  }
  if (clock !== undefined) requireClock(clock)
  refuseUnknown("shadow", options.shadow, SHADOW_KEYS)
  if (typeof options.fuse === "object" && options.fuse !== null) refuseUnknown("fuse", options.fuse, FUSE_KEYS)
  const { onStableError = "deny", recognise = "call-id" } = options
  if (!["deny", "escalate", "throw"].includes(onStableError)) {
    throw new TypeError(`onStableError must be deny, escalate or throw, got ${String(onStableError)}`)
  }
  if (!["call-id", "content"].includes(recognise)) {
    throw new TypeError(`recognise must be call-id or content, got ${String(recognise)}`)
  }
}

/** Longest wait for an answer of each arm, ms. */
export function timeoutsOf(timeoutMs: GuardOptions<Call, Mode>["timeoutMs"]): readonly [number, number] {
  if (typeof timeoutMs === "object") refuseUnknown("timeoutMs", timeoutMs, { stable: true, canary: true })
  const each = typeof timeoutMs === "object" ? timeoutMs : { stable: timeoutMs, canary: timeoutMs }
  const { stable = 1000, canary = 1000 } = each
  requirePositive("timeoutMs (stable)", stable)
  requirePositive("timeoutMs (canary)", canary)
  return [stable, canary]
}

function requirePositive(name: string, value: number): void {
  if (typeof value !== "number") throw new TypeError(`${name} must be a number of ms, got ${JSON.stringify(value)}`)
  if (!(value > 0)) throw new RangeError(`${name} must be greater than 0, got ${value}`)
}
