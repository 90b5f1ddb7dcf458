import type {
  ErrorCode,
  EvaluationContext,
  JsonValue,
  Provider,
  ProviderEvents,
  ResolutionDetails,
} from "@openfeature/server-sdk"
import { errorText } from "../../model/error-text.js"
import type { SessionOptions } from "../../guard/session.js"
import { refuseUnknown } from "../../model/options.js"
import type { KeysOf } from "../../model/options.js"
import { providerEvents } from "./provider-events.js"
import { requireGuard } from "./serving-guard.js"
import type { ServedSession, ServingGuard } from "./serving-guard.js"

/** Options of `serinProvider()`. */
export interface SerinProviderOptions {
  /** What the guard is told of a session that it first sees here, from the context of the evaluation: its start, its attributes. */
  readonly session?: ((context: EvaluationContext) => SessionOptions | undefined) | undefined
}

const KEYS: KeysOf<SerinProviderOptions> = { session: true }

type FlagType = "boolean" | "string" | "number" | "object"

interface Flag {
  readonly type: FlagType
  /** Undefined: there is none. */
  read(session: ServedSession): unknown
}

/**
 * Make a guard a provider of OpenFeature: `<rollout>.arm` and `<rollout>.release` are texts, `<rollout>.config` is the config of the release
 * that serves the session, an object. The targeting key is the session's id; without one, the session is that of `withSession`, else
 * none, which is stable's. The arm and the release may be looked at and count for nothing; a config that is read counts as being served.
 * What it resolves never rejects. Throws `TypeError` for what is no guard and for options that there are not.
 */
export function serinProvider(guard: ServingGuard, options: SerinProviderOptions = {}): Provider {
  requireGuard(guard)
  refuseUnknown("serinProvider", options, KEYS)
  const { rollout } = guard
  const flags: ReadonlyMap<string, Flag> = new Map([
    [`${rollout}.arm`, { type: "string", read: (session) => session.assignment().arm }],
    [`${rollout}.release`, { type: "string", read: (session) => session.assignment().release }],
    [`${rollout}.config`, { type: "object", read: (session) => session.config }],
  ])
  const events = providerEvents()
  let stop = (): void => {}

  async function resolve<T>(
    type: FlagType,
    key: string,
    fallback: T,
    context: EvaluationContext,
  ): Promise<ResolutionDetails<T>> {
    try {
      const flag = flags.get(key)
      if (flag === undefined) return failed(fallback, "FLAG_NOT_FOUND", `there are ${[...flags.keys()].join(", ")}`)
      if (flag.type !== type) return failed(fallback, "TYPE_MISMATCH", `${key} is a flag of type ${flag.type}`)
      const session = sessionOf(context)
      if (session === null) return failed(fallback, "INVALID_CONTEXT", "targetingKey must be the session's id, a text")
      const value = flag.read(session)
      // After it was read: to read a config can take the session off the canary.
      const { arm, release, revision, reason } = session.assignment()
      if (value === undefined) return failed(fallback, "FLAG_NOT_FOUND", `release ${release} has no config`)
      if (typeof value !== type || value === null) {
        return failed(fallback, "TYPE_MISMATCH", `the config of release ${release} is no object`)
      }
      return {
        value: value as T,
        variant: arm,
        reason: reason.toUpperCase(),
        flagMetadata: { rollout, arm, release, revision, flagSetId: rollout, version: String(revision) },
      }
    } catch (error) {
      return failed(fallback, "GENERAL", errorText(error))
    }
  }

  /** Null: it has an id that is none. */
  function sessionOf(context: EvaluationContext): ServedSession | null {
    const id: unknown = context.targetingKey
    if (id === undefined || id === null || id === "") return guard.current()
    return typeof id === "string" ? guard.session(id, options.session?.(context)) : null
  }

  const tell = (): void => {
    events.emit("PROVIDER_CONFIGURATION_CHANGED" as ProviderEvents.ConfigurationChanged, {
      flagsChanged: [...flags.keys()],
    })
  }

  return {
    metadata: { name: "serin" },
    runsOn: "server",
    events,
    async initialize() {
      stop()
      stop = guard.onChange(tell)
    },
    async onClose() {
      stop()
    },
    resolveBooleanEvaluation: (key, fallback, context) => resolve("boolean", key, fallback, context),
    resolveStringEvaluation: (key, fallback, context) => resolve("string", key, fallback, context),
    resolveNumberEvaluation: (key, fallback, context) => resolve("number", key, fallback, context),
    resolveObjectEvaluation: <T extends JsonValue>(key: string, fallback: T, context: EvaluationContext) =>
      resolve("object", key, fallback, context),
  }
}

const failed = <T>(value: T, code: `${ErrorCode}`, errorMessage: string): ResolutionDetails<T> => ({
  value,
  reason: "ERROR",
  errorCode: code as ErrorCode,
  errorMessage,
})
