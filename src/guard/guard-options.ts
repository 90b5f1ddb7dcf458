import type { GuardOptions, Mode } from "../guard.js"
import type { Call } from "../model/call.js"
import type { FuseOptions } from "./fuse.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import type { ShadowOptions } from "./shadow.js"

/** Every option that there is. */
export const GUARD_KEYS: KeysOf<GuardOptions<Call, Mode> & { readonly async: boolean }> = {
  rollout: true,
  state: true,
  releases: true,
  async: true,
  onStableError: true,
  timeoutMs: true,
  recognise: true,
  onEvent: true,
  meterProvider: true,
  metrics: true,
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
  refuseUnknown("createGuard", options, GUARD_KEYS)
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
