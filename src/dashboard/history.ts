import { stateKey } from "../controller/keys.js"
import { pastStates } from "../controller/verbs.js"
import { keptAnswers } from "../model/kept-answers.js"
import { phaseWords } from "../operate/next-step.js"
import { phaseOf } from "../rollout/phase.js"
import { json } from "./answer.js"
import type { Context, Route } from "./route.js"

/** Newest revisions that are shown. */
const SHOWN = 200

/** What moved the rollout: every revision that is kept, newest first. */
export function historyRoute({ read, watched }: Context): Route {
  // All viewers ask after the same change.
  const kept = keptAnswers<string, readonly object[]>()

  async function transitions(rollout: string): Promise<readonly object[]> {
    const found: object[] = []
    if (!("history" in watched)) return found
    for await (const state of pastStates(watched, rollout)) {
      const phase = phaseOf(state)
      const { at, event, actor, reason } = state.last
      const weightBp =
        phase.phase === "canary" ? phase.weightBp : phase.phase === "baking" || phase.phase === "promoted" ? 10_000 : 0
      const { revision, generation, holds } = state
      const held = holds.map((hold) => hold.reason)
      found.push({
        revision,
        generation,
        at,
        event,
        actor: actor.id,
        by: actor.kind,
        reason,
        phase: phase.phase,
        words: phaseWords(phase),
        weightBp,
        held,
      })
      if (found.length === SHOWN) break
    }
    return found
  }

  return {
    method: "GET",
    path: "history",
    access: "read",
    async answer({ rollout }) {
      const token = (await read.get(stateKey(rollout)))?.token ?? ""
      const isSame = (known: string): boolean => known === token
      return json({ rollout, transitions: await kept.get(rollout, token, isSame, () => transitions(rollout)) })
    },
  }
}
