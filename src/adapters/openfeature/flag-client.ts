import type { Client, EvaluationContext, EvaluationDetails, JsonValue, ProviderEvents } from "@openfeature/server-sdk"
import { errorText } from "../../model/error-text.js"
import { requireMethods } from "../../model/options.js"
import { callSafely } from "../../stores/document.js"

/** What is needed of a client of OpenFeature: `OpenFeature.getClient()`. */
export type FlagClient = Pick<
  Client,
  "getBooleanDetails" | "getObjectDetails" | "addHandler" | "removeHandler" | "providerStatus"
>

/** Throw `TypeError` for what can only be a mistake in the code. */
export function requireClient(client: FlagClient): void {
  const fix = "pass OpenFeature.getClient()"
  requireMethods("client", client, ["getBooleanDetails", "getObjectDetails", "addHandler", "removeHandler"], fix)
}

/** Throw `TypeError` for what is no name of a flag. */
export function requireFlagKey(flagKey: unknown): void {
  if (typeof flagKey === "string" && flagKey !== "") return
  const got = flagKey === "" ? "an empty text" : typeof flagKey
  throw new TypeError(`flagKey must be the name of a flag, got ${got}`)
}

/** What no provider answers: whoever gives it back has no value of its own. */
const UNANSWERED = "serin: no value"

/** A value that the provider itself gave, or why there is none. */
export type FlagAnswer<T extends JsonValue = JsonValue> =
  | {
      readonly value: T
      /** What the provider calls this version of the flag. */
      readonly version?: unknown
      /** Why it may be old. */
      readonly doubt?: string | undefined
    }
  | { readonly problem: string }

/** Read an object flag. A default is no value, however the provider calls it. Never rejects. */
export async function readObject(
  client: FlagClient,
  flagKey: string,
  context: EvaluationContext | undefined,
): Promise<FlagAnswer> {
  try {
    const details = await client.getObjectDetails(flagKey, { [UNANSWERED]: true }, context)
    const problem = problemIn(details)
    if (problem !== undefined) return { problem }
    const { value } = details
    if (typeof value === "object" && value !== null && Object.hasOwn(value, UNANSWERED)) {
      return { problem: noValue(details) }
    }
    return { value, version: details.flagMetadata?.["version"], doubt: doubtIn(client, details) }
  } catch (error) {
    return { problem: `the client failed: ${messageOf(error)}` }
  }
}

/**
 * Read a boolean flag. The provider's own `true` and `false` are told from a default by asking with both: what follows the default is none
 * of the provider's. Never rejects.
 */
export async function readBoolean(
  client: FlagClient,
  flagKey: string,
  context: EvaluationContext | undefined,
): Promise<FlagAnswer<boolean>> {
  try {
    // With a default of true, the everyday answer, a false, is certain at once.
    const first = await client.getBooleanDetails(flagKey, true, context)
    const failed = problemIn(first)
    if (failed !== undefined) return { problem: failed }
    if (typeof first.value !== "boolean") return { problem: `it is a ${typeof first.value}, and no boolean` }
    if (!first.value) return { value: false, doubt: doubtIn(client, first) }
    const second = await client.getBooleanDetails(flagKey, false, context)
    const problem = problemIn(second)
    if (problem !== undefined) return { problem }
    return second.value === true ? { value: true, doubt: doubtIn(client, second) } : { problem: noValue(second) }
  } catch (error) {
    return { problem: `the client failed: ${messageOf(error)}` }
  }
}

type Details = Pick<EvaluationDetails<JsonValue>, "value" | "reason" | "errorCode" | "errorMessage">

function problemIn({ errorCode, errorMessage, reason }: Details): string | undefined {
  if (errorCode === undefined && reason !== "ERROR") return undefined
  return `${errorCode ?? reason}${errorMessage === undefined ? "" : `: ${errorMessage.slice(0, 300)}`}`
}

/** A provider that lost its connection goes on answering from memory, and says so by its status or by the reason. */
function doubtIn({ providerStatus }: FlagClient, { reason }: Pick<Details, "reason">): string | undefined {
  if (reason === "STALE") return "what the provider has is stale"
  // Absent in clients that are none of the SDK's.
  if (providerStatus === undefined || (providerStatus as string) === "READY") return undefined
  return `the provider is ${providerStatus}`
}

const noValue = ({ reason = "no reason" }: Details): string => `the provider has no value for it (${reason})`

const messageOf = (error: unknown): string => errorText(error).slice(0, 300)

/** The names of events that may mean another value. Spelt out: the package is a type here, and not loaded. */
const CHANGES = ["PROVIDER_CONFIGURATION_CHANGED", "PROVIDER_READY"] as unknown as readonly ProviderEvents[]

/** Call `changed` when flags may have changed, until `signal` aborts. */
export function onFlagsChanged(client: FlagClient, changed: () => void, signal: AbortSignal): void {
  if (signal.aborted) return
  let begun = false
  // A provider that is ready says so at once, which is no change.
  const own = (): void => void (begun && !signal.aborted && callSafely(changed))
  for (const event of CHANGES) client.addHandler(event, own)
  begun = true
  const stop = (): void => {
    for (const event of CHANGES) client.removeHandler(event, own)
  }
  signal.addEventListener("abort", stop, { once: true })
}
