import { CHANGE } from "./answer.js"
import { change, reasonOr, targetOf } from "./change.js"
import { ACTOR_FLAGS, defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { actorOf } from "./place.js"

export const containCommand = defineCommand({
  notes: ["For when neither is known to be safe; also after a promotion or a rollback."],
  example: 'serin contain --reason "both let a refund through twice"',
  flags: { ...PLACE_FLAGS, ...ACTOR_FLAGS, ...JSON_FLAG },
  answers: CHANGE,
  async run({ values, io, out }) {
    const reason = reasonOr(values.reason, "contained by hand")
    const event = { type: "contain", actor: actorOf(values, io), reason } as const
    return change({ values, io, out }, await targetOf("contain", { values, io, out }), event, ({ stable, canary }) => ({
      next: `${stable} and ${canary} judge every call from the next on, and the stricter answer is served`,
      undo: "rollback",
      undone: `${stable} alone serves, once it is known to be safe; what the canary had reached does not come back`,
    }))
  },
})
