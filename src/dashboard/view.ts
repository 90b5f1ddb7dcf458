import { nextSteps, phaseWords } from "../operate/next-step.js"
import { takeSnapshot } from "../operate/snapshot.js"
import { statusDocument } from "../operate/status-document.js"
import { offers } from "../operate/verb.js"
import { decisive, whyOf } from "../operate/why.js"
import type { Context } from "./route.js"

/** Where a rollout stands, in numbers and in words, and what can be done; null: it has no state. */
export async function viewOf(
  { read, clock }: Pick<Context, "read" | "clock">,
  rollout: string,
): Promise<object | null> {
  const now = clock.now()
  const snapshot = await takeSnapshot(read, rollout, now)
  if (snapshot === null) return null
  const { state, phase, verdict } = snapshot
  return {
    ...statusDocument(rollout, snapshot),
    verdict,
    now,
    words: phaseWords(phase),
    why: whyOf(snapshot),
    cause: verdict === null ? null : (decisive(verdict)?.criterion ?? null),
    next: nextSteps(state, now, (verb) => `serin ${verb}`),
    verbs: offers(state, now),
  }
}
