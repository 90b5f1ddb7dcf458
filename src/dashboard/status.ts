import { nextSteps, phaseWords } from "../operate/next-step.js"
import { takeSnapshot } from "../operate/snapshot.js"
import { statusDocument } from "../operate/status-document.js"
import { offers } from "../operate/verb.js"
import { json, Refusal } from "./answer.js"
import type { Context, Route } from "./route.js"

/** Where a rollout stands, and what can be done. */
export function statusRoute({ read, clock }: Context): Route {
  return {
    method: "GET",
    path: "status",
    access: "read",
    async answer({ rollout }) {
      const now = clock.now()
      const snapshot = await takeSnapshot(read, rollout, now)
      if (snapshot === null) throw new Refusal(404, "NOT_FOUND", `${rollout} has no state`)
      const { state, phase } = snapshot
      return json({
        ...statusDocument(rollout, snapshot),
        now,
        words: phaseWords(phase),
        next: nextSteps(state, now, (verb) => verb),
        verbs: offers(state, now),
      })
    },
  }
}
