import { isDeepStrictEqual } from "node:util"
import type { Decision } from "../model/decision.js"
import { recent } from "../session/recent.js"
import { capture } from "./capture.js"

/** Answers of one session kept for calls that are asked again, at most twice as many. */
const MAX_REMEMBERED = 64

type Answer = Decision | Promise<Decision>

/** Remembers what was decided for the calls of one session. */
export interface Once {
  /** Give the answer to this call that stands, or decide. */
  answer(callId: string, call: unknown, decide: () => Answer): Answer
}

/**
 * Decide each call once. An id that comes back with another call (some runtimes count from 0 again) is another call.
 * A denial because stable failed is not kept: the next try may find it well.
 */
export function createOnce(): Once {
  const remembered = recent<{ readonly call: unknown; readonly answer: Answer }>(MAX_REMEMBERED)

  return {
    answer(callId, call, decide) {
      const before = remembered.get(callId)
      if (before !== undefined && isDeepStrictEqual(before.call, call)) return before.answer
      const copy = capture(call)
      const answer = decide()
      if (answer instanceof Promise) {
        const entry = { call: copy, answer }
        remembered.set(callId, entry)
        const forget = (): void => {
          if (remembered.get(callId) === entry) remembered.delete(callId)
        }
        answer.then((decision) => (isKept(decision) ? undefined : forget()), forget)
      } else if (isKept(answer)) {
        remembered.set(callId, { call: copy, answer })
      } else {
        remembered.delete(callId)
      }
      return answer
    },
  }
}

const isKept = ({ source }: Decision): boolean => source === "policy" || source === "fallback"
