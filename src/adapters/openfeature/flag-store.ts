import type { EvaluationContext, JsonValue } from "@openfeature/server-sdk"
import { SerinError } from "../../errors.js"
import { refuseUnknown } from "../../model/options.js"
import type { KeysOf } from "../../model/options.js"
import { orGiveUp } from "../../model/or-give-up.js"
import type { ReadStore } from "../../rollout/store.js"
import { keySegments, refuseAborted, versioned } from "../../stores/document.js"
import { onFlagsChanged, readObject, requireClient, requireFlagKey } from "./flag-client.js"
import type { FlagClient } from "./flag-client.js"
import { stableJson } from "./stable-json.js"

/** Options of `openFeatureStore()`. */
export interface OpenFeatureStoreOptions {
  readonly client: FlagClient
  /**
   * Name of the object flag that holds the rollout's state; or, for more documents than that, a function from a document's key (`refund-agent/state`,
   * `refund-agent/leader`) to the name of its flag, and to undefined for those that have none.
   */
  readonly flagKey: string | ((key: string) => string | undefined)
  /** What flags are evaluated for. Everybody must be given the same value: a state is no matter of targeting. Default: nothing. */
  readonly context?: EvaluationContext | undefined
}

const KEYS: KeysOf<OpenFeatureStoreOptions> = { client: true, flagKey: true, context: true }

/** Longest document, characters: a state is of 256 KiB at most, and base64 makes four of three. */
const MAX_BYTES = 512 * 1024

/**
 * Read a rollout's documents from object flags of any OpenFeature provider: JSON as an object or as its text, signed or not. An empty object
 * is a document that was never written. A flag without a value of the provider's own (an error, a default, a provider that is not ready
 * or stale) is `STORE_UNAVAILABLE`: a provider that lost its connection ends no rollout and lifts no kill. Throws `TypeError` for
 * options that cannot be meant.
 */
export function openFeatureStore(options: OpenFeatureStoreOptions): ReadStore {
  refuseUnknown("openFeatureStore", options, KEYS)
  const { client, flagKey, context } = options
  requireClient(client)
  if (typeof flagKey !== "function") requireFlagKey(flagKey)

  function flagOf(key: string): string | undefined {
    const [, document, ...more] = keySegments(key)
    if (typeof flagKey === "function") return flagKey(key)
    return document === "state" && more.length === 0 ? flagKey : undefined
  }

  return {
    // Whether what a provider has is the newest, nobody can say.
    caps: { push: true, linearizable: false, ack: "async", maxBytes: MAX_BYTES },

    async get(key, { signal } = {}) {
      const flag = flagOf(key)
      refuseAborted(signal)
      if (flag === undefined) return null
      const answer = await unlessAborted(readObject(client, flag, context), signal)
      if ("problem" in answer) throw unavailable(flag, answer.problem)
      const { value, version, doubt } = answer
      if (doubt !== undefined) throw unavailable(flag, doubt)
      if (isNone(value)) return null
      const envelope = textOf(flag, value)
      return versioned(revisionIn(value) ?? revisionIn(objectIn(envelope)) ?? numberOf(version) ?? 1, envelope)
    },

    watch(key, hint, { signal }) {
      if (flagOf(key) !== undefined) onFlagsChanged(client, hint, signal)
    },
  }
}

/** A flag must have some value from its first day on. */
const isNone = (value: JsonValue): boolean =>
  value === null || (typeof value === "object" && !Array.isArray(value) && Object.keys(value).length === 0)

function textOf(flag: string, value: JsonValue): string {
  if (typeof value !== "string" && typeof value !== "object") {
    throw unavailable(flag, `it is a ${typeof value}, and a document is an object or its text`)
  }
  const text = typeof value === "string" ? value : stableJson(value, MAX_BYTES)
  if (text !== null && text.length <= MAX_BYTES) return text
  throw unavailable(flag, `it is no JSON, too deep or over ${MAX_BYTES} characters long`)
}

/**
 * What the document says of itself. A beat bears the state's revision too, and counts by its own number. For people: followers go by what they
 * verified and parsed.
 */
function revisionIn(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null) return undefined
  const { format, revision, beat, payload } = value as Readonly<Record<string, unknown>>
  if (typeof payload === "string") return revisionIn(objectIn(Buffer.from(payload, "base64").toString("utf8")))
  return numberOf(format === "serin/leader/1" ? beat : revision)
}

function numberOf(value: unknown): number | undefined {
  const number = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value
  return typeof number === "number" && Number.isSafeInteger(number) && number > 0 ? number : undefined
}

function objectIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** An evaluation cannot be called off: its answer is dropped. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return orGiveUp(signal, work).catch((cause: unknown) => {
    throw new SerinError("STORE_UNAVAILABLE", "the caller gave up before the flag had a value", { cause })
  })
}

const unavailable = (flag: string, why: string): SerinError =>
  new SerinError("STORE_UNAVAILABLE", `the flag ${flag} gives no document: ${why}`)
