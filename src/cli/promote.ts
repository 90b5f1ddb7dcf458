import { CHANGE } from "./answer.js"
import { change, requiredReason, targetOf } from "./change.js"
import { ACTOR_FLAGS, choice, defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { actorOf } from "./place.js"

export const promoteCommand = defineCommand({
  notes: ["Needs --reason: it goes past the evidence."],
  example: 'serin promote --to next --reason "a week of shadow on staging was clean"',
  flags: {
    ...PLACE_FLAGS,
    to: { type: "string", value: "next|end", text: "how far (default: next)" },
    ...ACTOR_FLAGS,
    ...JSON_FLAG,
  },
  answers: CHANGE,
  async run({ values, io, out }) {
    const to = choice("to", values.to, ["next", "end"]) ?? "next"
    const reason = requiredReason("promote", values.reason)
    const event = { type: "promote", to, actor: actorOf(values, io), reason } as const
    return change({ values, io, out }, await targetOf("promote", { values, io, out }), event, () => ({
      undo: "rollback",
    }))
  },
})
