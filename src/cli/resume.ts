import { CHANGE } from "./answer.js"
import { change, reasonOr, targetOf } from "./change.js"
import { ACTOR_FLAGS, defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { actorOf } from "./place.js"

export const resumeCommand = defineCommand({
  notes: ["Lifts the holds paused, breach and inconclusive. What still holds comes back with the next judgement."],
  example: "serin resume",
  flags: { ...PLACE_FLAGS, ...ACTOR_FLAGS, ...JSON_FLAG },
  answers: CHANGE,
  async run({ values, io, out }) {
    const reason = reasonOr(values.reason, "resumed by hand")
    const event = { type: "resume", actor: actorOf(values, io), reason } as const
    return change({ values, io, out }, await targetOf("resume", { values, io, out }), event, () => ({ undo: "pause" }))
  },
})
