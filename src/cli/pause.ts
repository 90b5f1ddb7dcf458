import { CHANGE } from "./answer.js"
import { change, reasonOr, targetOf } from "./change.js"
import { ACTOR_FLAGS, defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { actorOf } from "./place.js"

export const pauseCommand = defineCommand({
  example: 'serin pause --reason "incident 42 is open"',
  flags: { ...PLACE_FLAGS, ...ACTOR_FLAGS, ...JSON_FLAG },
  answers: CHANGE,
  async run({ values, io, out }) {
    const reason = reasonOr(values.reason, "paused by hand")
    const event = { type: "pause", actor: actorOf(values, io), reason } as const
    return change({ values, io, out }, await targetOf("pause", { values, io, out }), event, () => ({
      next: "it stays at this stage; a breach still rolls back",
      undo: "resume",
    }))
  },
})
