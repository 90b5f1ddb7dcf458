import { isDeepStrictEqual } from "node:util"
import type { Call } from "../model/call.js"
import { hash32 } from "../session/bucket.js"
import { recent } from "../session/recent.js"
import { capture } from "./capture.js"

/** Answers of one session kept for calls that are asked again, at most twice as many. */
const MAX_REMEMBERED = 64

/** How a call that comes back is recognised: by the runtime's `callId` alone, or, without one, by what it is about. */
export type Recognise = "call-id" | "content"

interface Answered {
  readonly call: unknown
  readonly contained: boolean
  readonly answer: unknown
}

/**
 * Remember what was answered to the calls of one session, and decide each once. A key that comes back with another call (some
 * runtimes count from 0 again) is another call.
 */
export class Once {
  private readonly remembered = recent<Answered>(MAX_REMEMBERED)

  /**
   * Give the answer to this call that stands, or decide. An answer that `isKept` refuses is given this time only:
   * a denial because stable failed does not bind the next try, which may find it well. One key, one kind of answer.
   * `contained`: both releases decide now. What one decided does not stand in a containment, nor what both did after it.
   */
  answer<A>(
    key: string,
    call: unknown,
    contained: boolean,
    decide: () => A,
    isKept: (settled: Awaited<A>) => boolean,
  ): A {
    const { remembered } = this
    const before = remembered.get(key)
    const stands = before !== undefined && before.contained === contained
    if (stands && isSame(before.call, call)) return before.answer as A
    const copy = capture(call)
    const answer = decide()
    const entry = { call: copy, contained, answer }
    if (answer instanceof Promise) {
      remembered.set(key, entry)
      const forget = (): void => {
        if (remembered.get(key) === entry) remembered.delete(key)
      }
      answer.then((settled: Awaited<A>) => (isKept(settled) ? undefined : forget()), forget)
    } else if (isKept(answer as Awaited<A>)) {
      remembered.set(key, entry)
    } else {
      remembered.delete(key)
    }
    return answer
  }
}

/** Read an id that a host gave; what is no text, or an empty one, is none. */
export const callIdOf = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined

/**
 * Give a key to a call that has no id: a hash of its action and its input, the order of keys aside. Null: it has no such form
 * (a cycle, a bigint), so it is always another call. Two calls that share a hash are told apart by comparing them whole.
 */
export function contentKey(call: Call): string | null {
  try {
    const text = JSON.stringify([call.action, call.input], inKeyOrder)
    return `content/${hash32(new TextEncoder().encode(text))}`
  } catch {
    return null
  }
}

function inKeyOrder(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** A call is the host's: comparing it may throw. */
function isSame(before: unknown, call: unknown): boolean {
  try {
    return isDeepStrictEqual(before, call)
  } catch {
    return false
  }
}
