import { CHANGE } from "./answer.js"
import { change, reasonOr, targetOf } from "./change.js"
import { ACTOR_FLAGS, defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { actorOf } from "./place.js"

export const rollbackCommand = defineCommand({
  example: 'serin rollback --reason "customers report denied refunds"',
  flags: { ...PLACE_FLAGS, ...ACTOR_FLAGS, ...JSON_FLAG },
  answers: CHANGE,
  async run({ values, io, out }) {
    const reason = reasonOr(values.reason, "rolled back by hand")
    const event = { type: "rollback", actor: actorOf(values, io), reason } as const
    return change({ values, io, out }, await targetOf("rollback", { values, io, out }), event, ({ stable }) => ({
      next: `${stable} serves every session from its next call on`,
      undo: 'retry --reason "…"',
    }))
  },
})
