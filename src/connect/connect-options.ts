import type { EvidenceSink } from "../evidence/sink.js"
import { GUARD_KEYS } from "../guard/guard-options.js"
import type { GuardOptions, Mode } from "../guard/guard-options.js"
import type { Call } from "../model/call.js"
import { requireClock } from "../model/clock.js"
import { refuseUnknown, requireMethods } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { requireAsync } from "../release/code-options.js"
import type { CodeOptions } from "../release/code-options.js"
import type { ReadStore, StateStore } from "../rollout/store.js"
import type { ReleasesFrom } from "../shelf.js"
import type { TrustedKeys } from "../signing/trust.js"

/** Options of `connect()`. */
export interface ConnectOptions<C extends Call, M extends Mode>
  extends Omit<GuardOptions<C, M>, "state" | "releases" | "bootstrap">, CodeOptions {
  /** Where the rollout is led. Reading it is enough: `get` and `watch`. */
  readonly store: ReadStore
  /** Not needed for `wrap`. */
  readonly releases?: ReleasesFrom<C, M> | undefined
  /**
   * Version of the release that ships with the application. It serves while the store was never read, and where the stable release of the state
   * was never loaded. For `wrap`: the version of the stable function.
   */
  readonly bootstrap: string
  /**
   * Path of a file for the last good state, on a disk that outlives the process; its folder is made. With it, a process that starts while the store is down
   * begins where it was, a kill included, and one that starts later takes no state that is older. `false`: it begins with the bootstrap release.
   */
  readonly lastKnownGood: string | false
  /** Whose signatures make a release trusted, where `releases` is a path: one without enough of them is refused. */
  readonly trustedKeys?: TrustedKeys | undefined
  /**
   * Where this process publishes what it counts, for the controller that judges: a store that it may write to, or a sink such as `httpSink()`. Default: nowhere,
   * for a fleet that is judged by its metrics.
   */
  readonly evidence?: EvidenceSink | StateStore | undefined
  /**
   * Name of this process among those that publish, 1 to 100 of A-Z, a-z, 0-9, `.`, `_` and `-`; each start adds an id of its own. Default: the host's name
   * and the process id.
   */
  readonly publisher?: string | undefined
  /** How long the canary serves here without a sign that somebody leads, ms, 1,000 to 15,000. Default 15,000. */
  readonly canaryLeaseMs?: number | undefined
  /**
   * Longest time between two looks at the store that are answered, whatever it hints, ms, 100 to 60,000; also between two tries to load a release that is
   * missing. Default 5,000.
   */
  readonly pollEveryMs?: number | undefined
}

/** How long a canary serves without a leader, ms. May be lowered, not raised: whoever leads counts on it. */
export const DEFAULT_LEASE_MS = 15_000

// Made by a function that is marked as pure: a spread is not, and would stay in the bundle of who never calls this.
const CONNECT_KEYS = /* @__PURE__ */ ((): KeysOf<ConnectOptions<Call, Mode> & { readonly async: boolean }> => {
  const { state: _none, ...guards } = GUARD_KEYS
  return {
    ...guards,
    store: true,
    lastKnownGood: true,
    trustedKeys: true,
    modules: true,
    moduleTimeoutMs: true,
    sdks: true,
    canaryLeaseMs: true,
    pollEveryMs: true,
    evidence: true,
    publisher: true,
  }
})()

/** Throw `TypeError` or `RangeError` for what can only be a mistake in the code, before anything is read. */
export function checkConnect<C extends Call>(options: ConnectOptions<C, Mode>): void {
  if (options === undefined || options === null) {
    const least = `connect({ rollout: "refund-agent", store, releases: "safety/releases", bootstrap: "1.4.0", lastKnownGood: "state/refund-agent.json" })`
    throw new TypeError(`connect takes its options as an object, got ${String(options)}; write ${least}`)
  }
  refuseUnknown("connect", options, CONNECT_KEYS)
  const { rollout, store, bootstrap, lastKnownGood, clock } = options
  if (typeof rollout !== "string" || rollout === "") {
    throw new TypeError(`rollout must be the name of the rollout, as in its file, got ${shown(rollout)}`)
  }
  requireMethods("store", store, ["get", "watch"], "pass the store that the controller leads the rollout on")
  if (typeof bootstrap !== "string" || bootstrap === "") {
    const fix = "name the release that ships with the application: it serves while the store cannot be read"
    throw new TypeError(`bootstrap must be the version of a release, got ${shown(bootstrap)}; ${fix}`)
  }
  if (lastKnownGood !== false && (typeof lastKnownGood !== "string" || lastKnownGood === "")) {
    const fix = `name a file that outlives the process, or pass false to begin with ${bootstrap} whenever the store is down`
    throw new TypeError(`lastKnownGood must be the path of a file or false, got ${shown(lastKnownGood)}; ${fix}`)
  }
  if (clock !== undefined) requireClock(clock)
  const { evidence, publisher } = options
  if (evidence !== undefined && !isSink(evidence)) {
    const fix = "pass a store that this process may write to, or a sink with put(key, text)"
    requireMethods("evidence", evidence, ["get", "compareAndSet"], fix)
  }
  if (publisher !== undefined && !/^(?!\.)[A-Za-z0-9._-]{1,100}$/.test(publisher)) {
    const rule = "1 to 100 of A-Z, a-z, 0-9, '.', '_' and '-', not beginning with '.'"
    throw new RangeError(`publisher must be ${rule}, got ${JSON.stringify(publisher)}`)
  }
  requireWithin("canaryLeaseMs", options.canaryLeaseMs, 1000, DEFAULT_LEASE_MS)
  requireWithin("pollEveryMs", options.pollEveryMs, 100, 60_000)
  requireAsync(options)
}

/** Tell a sink from a store. */
export const isSink = (evidence: EvidenceSink | StateStore): evidence is EvidenceSink =>
  typeof (evidence as Partial<EvidenceSink> | null)?.put === "function"

function requireWithin(name: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (value >= least && value <= most)) return
  throw new RangeError(`${name} must be from ${least} to ${most} ms, got ${String(value)}`)
}

const shown = (value: unknown): string => (value === "" ? "an empty text" : String(value))
