import { CHANGE } from "./answer.js"
import { newSalt, readState } from "../controller/verbs.js"
import { change, requiredReason, targetOf } from "./change.js"
import { GATE_FLAGS, replayGate } from "./gate.js"
import { ACTOR_FLAGS, defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { pinsFor } from "./pins.js"
import { actorOf, readSpec } from "./place.js"

export const retryCommand = defineCommand({
  notes: ["Needs --reason. A new generation: evidence, approvals and holds of the last one do not count."],
  example: 'serin retry --reason "the rule for partial refunds is mended"',
  flags: { ...PLACE_FLAGS, ...GATE_FLAGS, ...ACTOR_FLAGS, ...JSON_FLAG },
  answers: CHANGE,
  async run({ values, io, out }) {
    const reason = requiredReason("retry", values.reason)
    const target = await targetOf("retry", { values, io, out })
    const before = await readState(target.place.store, target.name)
    // What never began is not begun by lifting a kill.
    const spec = before === null || before.canary === null ? undefined : await readSpec(target.place)
    const digests = spec && (await pinsFor("retry", spec, target.place, values, io))
    const gate = spec && (await replayGate("retry", spec, target.place, values, io))
    const event = { type: "retry", salt: newSalt(), spec, gate, digests, actor: actorOf(values, io), reason } as const
    return change({ values, io, out }, target, event, ({ canary }) => ({
      undo: canary === null ? "kill" : "rollback",
    }))
  },
})
