import { inspect } from "node:util"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import type { EvaluateOptions, ScanOptions, SessionOptions } from "./session.js"

const SESSION_KEYS: KeysOf<SessionOptions> = { startedAt: true, attributes: true, arm: true }

/** What `wrap` is given for a session has its id as well. */
const NAMED_SESSION_KEYS: Readonly<Record<string, true>> = { id: true, ...SESSION_KEYS }

/** Throw `TypeError` for what can only be a mistake in the code: it fails on the first session. */
export function checkSession(options: SessionOptions): void {
  refuseUnknown("session", options, "id" in options ? NAMED_SESSION_KEYS : SESSION_KEYS)
  const { startedAt, arm } = options as { startedAt?: unknown; arm?: unknown }
  if (startedAt !== undefined && typeof startedAt !== "number") {
    const fix = startedAt instanceof Date ? "; pass date.getTime()" : ""
    throw new TypeError(`startedAt must be a number, ms since the epoch, got ${inspect(startedAt, { depth: 0 })}${fix}`)
  }
  if (arm !== undefined && arm !== "stable" && arm !== "canary") {
    throw new TypeError(`arm must be stable or canary, got ${inspect(arm, { depth: 0 })}`)
  }
}

/** 1973 in ms, and the year 5138 in seconds. */
const SECONDS_BELOW = 1e11

/** Say what is wrong with a start that may come from the host's data, so that nothing throws; undefined: nothing. */
export function doubtIn(startedAt: number, now: number): string | undefined {
  if (!Number.isFinite(startedAt)) {
    return `startedAt is ${startedAt}: the start is read from the session's id, or is when this guard first saw it`
  }
  if (startedAt !== 0 && Math.abs(startedAt) < SECONDS_BELOW && now >= SECONDS_BELOW) {
    const looks = new Date(startedAt).toISOString()
    return `startedAt ${startedAt} is ${looks}, before any canary: it is ms since the epoch, and this looks like seconds`
  }
  return undefined
}

const EVALUATE_KEYS: KeysOf<EvaluateOptions> = { callId: true }
const SCAN_KEYS: KeysOf<ScanOptions> = { direction: true }

/** Say what is wrong with options of `evaluate` in which no id was found: such a call is decided each time it is asked. */
export function doubtInEvaluate(options: unknown): string | undefined {
  return doubted(() => {
    refuseUnknown("evaluate", options, EVALUATE_KEYS)
    const { callId } = options as { readonly callId?: unknown }
    if (callId === undefined || callId === null || typeof callId === "string") return
    throw new TypeError(
      `callId must be a text, got ${inspect(callId, { depth: 0 })}: it is taken for none; pass String(id)`,
    )
  })
}

/** Say what is wrong with options of `scan` in which no direction was found. */
export function doubtInScan(options: unknown): string | undefined {
  return doubted(() => {
    refuseUnknown("scan", options, SCAN_KEYS)
    const { direction } = (options ?? {}) as { readonly direction?: unknown }
    const got = inspect(direction, { depth: 0 })
    throw new TypeError(
      `direction must be input or output, got ${got}; a scanner for one of them may have been left out`,
    )
  })
}

/** Within a call a mistake is told of, and nothing throws. */
function doubted(check: () => void): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    return error instanceof TypeError ? error.message : "the options of a call cannot be read"
  }
}
