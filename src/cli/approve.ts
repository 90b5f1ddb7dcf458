import { CHANGE } from "./answer.js"
import { change, requiredReason, targetOf } from "./change.js"
import { ACTOR_FLAGS, defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { actorOf } from "./place.js"

export const approveCommand = defineCommand({
  notes: [
    "Needs --reason. Approves one stage, that in force. Refused, with what is missing, before the evidence of the stage has passed;",
    "lapses when a later look, before the stage is left, no longer passes.",
  ],
  example: 'serin approve --reason "looked at the newly denied calls with Ana"',
  flags: { ...PLACE_FLAGS, ...ACTOR_FLAGS, ...JSON_FLAG },
  answers: CHANGE,
  async run({ values, io, out }) {
    const reason = requiredReason("approve", values.reason)
    const event = { type: "approve", actor: actorOf(values, io), reason } as const
    return change({ values, io, out }, await targetOf("approve", { values, io, out }), event, () => ({ undo: "pause" }))
  },
})
