import type { EvaluationContext } from "@openfeature/server-sdk"
import { requireClock, systemClock } from "../../model/clock.js"
import type { Clock } from "../../model/clock.js"
import { refuseUnknown, requireMethods } from "../../model/options.js"
import type { KeysOf } from "../../model/options.js"
import type { Kill } from "../../rollout/state.js"
import { isWritable } from "../../rollout/store.js"
import type { ReadStore, StandingKill, StateStore } from "../../rollout/store.js"
import { callSafely } from "../../stores/document.js"
import { onFlagsChanged, readBoolean, readObject, requireClient, requireFlagKey } from "./flag-client.js"
import type { FlagAnswer, FlagClient } from "./flag-client.js"

/** Options of `withKillFlag()`. */
export interface KillFlagOptions {
  readonly client: FlagClient
  readonly flagKey: string
  /** `boolean`: true kills. `object`: `{ "kill": "off" | "stable" | "deny", "reason"?: text }`. Default `boolean`. */
  readonly type?: "boolean" | "object" | undefined
  /** What a `true` means. `stable`: nobody is served by the canary; `deny`: every call is denied. Default `stable`. */
  readonly position?: "stable" | "deny" | undefined
  /**
   * What holds until the flag has answered once. Default `stable`: a process that starts while the provider is down must not lift a kill.
   * With `off` it does.
   */
  readonly untilAnswered?: "stable" | "off" | undefined
  readonly context?: EvaluationContext | undefined
  /** How long a read of the store waits for the flag, ms. What the flag says later counts then. Default 500. */
  readonly timeoutMs?: number | undefined
  readonly clock?: Clock | undefined
}

/** What the flag says now. */
export interface KillFlagStatus {
  /** What holds. */
  readonly position: Kill
  /** When the flag last had a value, ms since the epoch; null: never. */
  readonly answeredAt: number | null
  /** Why the last look at it gave none. */
  readonly problem?: string | undefined
}

/** Tells what the flag says. */
export interface WithKillFlag {
  killFlag(): KillFlagStatus
}

const KEYS: KeysOf<KillFlagOptions> = {
  client: true,
  flagKey: true,
  type: true,
  position: true,
  untilAnswered: true,
  context: true,
  timeoutMs: true,
  clock: true,
}

/**
 * Lay the kill of a flag over what a store says, in every process that follows it. It adds a kill and never lifts one of the store's, stands
 * in no document, and ends when the flag says so. Only the provider's own value counts; while there is none, the last one holds, and a value
 * that may be old only kills. Throws `TypeError` and `RangeError` for options that cannot be meant.
 */
export function withKillFlag(store: StateStore, options: KillFlagOptions): StateStore & WithKillFlag
export function withKillFlag(store: ReadStore, options: KillFlagOptions): ReadStore & WithKillFlag
export function withKillFlag(store: ReadStore | StateStore, options: KillFlagOptions): ReadStore & WithKillFlag {
  const { client, flagKey, type, position, untilAnswered, context, timeoutMs, clock } = resolve(store, options)
  const hints = new Set<() => void>()
  let standing: StandingKill | null =
    untilAnswered === "off" ? null : killBy(untilAnswered, `the flag ${flagKey} has not answered yet`)
  let answeredAt: number | null = null
  let problem: string | undefined
  let asked = 0
  let newest = 0

  function killBy(position: StandingKill["position"], reason: string): StandingKill {
    return { position, reason, since: clock.now() }
  }

  /** Never rejects. */
  async function ask(): Promise<void> {
    const turn = ++asked
    const wish =
      type === "boolean"
        ? wishOfBoolean(await readBoolean(client, flagKey, context), position)
        : wishOfObject(await readObject(client, flagKey, context))
    // Answers may come in another order than they were asked for.
    if (turn < newest) return
    if ("problem" in wish) return void (problem = wish.problem)
    newest = turn
    problem = wish.doubt
    // What may be old can only stop.
    if (wish.doubt !== undefined && STRICTNESS[wish.kill] <= STRICTNESS[standing?.position ?? "off"]) return
    answeredAt = clock.now()
    take(wish)
  }

  function take({ kill, reason }: Wish): void {
    const says = `the flag ${flagKey} says so${reason === undefined ? "" : `: ${reason}`}`
    const next = kill === "off" ? null : killBy(kill, says)
    if (next?.position === standing?.position && next?.reason === standing?.reason) return
    standing = next
    for (const hint of hints) callSafely(hint)
  }

  /** The flag must not keep the store waiting. */
  function askInTime(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.schedule(resolve, timeoutMs)
      void ask().then(cancel).then(resolve)
    })
  }

  const reading: ReadStore & WithKillFlag = {
    caps: store.caps,
    async get(key, options) {
      if (!isState(key)) return store.get(key, options)
      const [found] = await Promise.all([store.get(key, options), askInTime()])
      return found
    },
    watch(key, hint, { signal }) {
      store.watch(key, hint, { signal })
      if (!isState(key) || signal.aborted) return
      const own = (): void => hint()
      hints.add(own)
      signal.addEventListener("abort", () => hints.delete(own), { once: true })
      onFlagsChanged(client, () => void ask(), signal)
    },
    ...(store.unseal !== undefined && { unseal: (key: string, text: string) => store.unseal!(key, text) }),
    kill() {
      const other = store.kill?.() ?? null
      return other === null || standing?.position === "deny"
        ? standing
        : other.position === "deny"
          ? other
          : (standing ?? other)
    },
    killFlag: () => ({ position: standing?.position ?? "off", answeredAt, problem }),
  }
  return isWritable(store) ? { ...writing(store), ...reading } : reading
}

/** The half that the flag has no part in. */
const writing = (store: StateStore): Omit<StateStore, keyof ReadStore> => ({
  compareAndSet: (key, expectedRevision, envelope, options) =>
    store.compareAndSet(key, expectedRevision, envelope, options),
  history: (key, options) => store.history(key, options),
  list: (under, options) => store.list(under, options),
  remove: (key, options) => store.remove(key, options),
})

const isState = (key: string): boolean => /^[^/]+\/state$/.test(key)

/** What a flag asks for, by a value of its own. */
interface Wish {
  readonly kill: Kill
  readonly reason?: string | undefined
  /** Why it may be old. */
  readonly doubt?: string | undefined
}
type WishOrProblem = Wish | { readonly problem: string }

function wishOfBoolean(answer: FlagAnswer<boolean>, position: Wish["kill"]): WishOrProblem {
  if ("problem" in answer) return answer
  return { kill: answer.value ? position : "off", doubt: answer.doubt }
}

function wishOfObject(answer: FlagAnswer): WishOrProblem {
  if ("problem" in answer) return answer
  const { kill, reason } = (answer.value ?? {}) as { readonly kill?: unknown; readonly reason?: unknown }
  if (kill !== "off" && kill !== "stable" && kill !== "deny") {
    return { problem: `its kill must be off, stable or deny, got ${String(JSON.stringify(kill)).slice(0, 100)}` }
  }
  return { kill, reason: typeof reason === "string" ? reason.slice(0, 1000) : undefined, doubt: answer.doubt }
}

const STRICTNESS: Readonly<Record<Kill, number>> = { off: 0, stable: 1, deny: 2 }

function resolve(store: ReadStore, options: KillFlagOptions) {
  requireMethods(
    "store",
    store,
    ["get", "watch"],
    "pass the store to read from first: withKillFlag(store, { client, flagKey })",
  )
  refuseUnknown("withKillFlag", options, KEYS)
  const { client, flagKey, type = "boolean", position = "stable", untilAnswered = "stable", context } = options ?? {}
  const { timeoutMs = 500, clock = systemClock } = options ?? {}
  requireClient(client)
  requireFlagKey(flagKey)
  requireClock(clock)
  requireOneOf("type", type, ["boolean", "object"])
  requireOneOf("position", position, ["stable", "deny"])
  requireOneOf("untilAnswered", untilAnswered, ["stable", "off"])
  if (!(timeoutMs > 0))
    throw new RangeError(`timeoutMs must be a number of ms greater than 0, got ${String(timeoutMs)}`)
  if (type === "object" && options.position !== undefined) {
    throw new TypeError('position is for a boolean flag; an object flag says it itself, as { kill: "deny" }')
  }
  return { client, flagKey, type, position, untilAnswered, context, timeoutMs, clock }
}

function requireOneOf(name: string, value: unknown, words: readonly string[]): void {
  if (words.includes(value as string)) return
  throw new TypeError(`${name} must be ${words.join(" or ")}, got ${String(value)}`)
}
