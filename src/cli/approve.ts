import { change, requiredReason, targetOf } from "./change.js"
import { ACTOR_FLAGS, defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { actorOf } from "./place.js"

export const approveCommand = defineCommand({
  name: "approve",
  summary: "Let the stage in force be left for the next, once the evidence allows it",
  notes: ["Needs --reason. Approves one stage, that in force; what the evidence says still counts."],
  example: 'serin approve --reason "looked at the newly denied calls with Ana"',
  flags: { ...PLACE_FLAGS, ...ACTOR_FLAGS, ...JSON_FLAG },
  async run({ values, io, out }) {
    const reason = requiredReason("approve", values.reason)
    const event = { type: "approve", actor: actorOf(values, io), reason } as const
    return change({ values, io, out }, await targetOf({ values, io, out }), event, () => ({ undo: "pause" }))
  },
})
