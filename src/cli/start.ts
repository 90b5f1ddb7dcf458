import { CHANGE } from "./answer.js"
import { transition } from "../rollout/transition.js"
import { act, ensureState, newSalt, readState } from "../controller/verbs.js"
import { printChange, reasonOr } from "./change.js"
import { ACTOR_FLAGS, defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { EXIT } from "./exit-code.js"
import { GATE_FLAGS, replayGate } from "./gate.js"
import { formatShare, formatSpan, formatTime, formatWhen } from "../operate/format.js"
import type { RolloutState } from "../rollout/state.js"
import { pinsFor } from "./pins.js"
import { actorOf, placeOf, readSpec, requireWritable } from "./place.js"

export const startCommand = defineCommand({
  notes: [
    "Makes the state if there is none. Refuses, with the way out, what the state does not allow.",
    "Writes the digests of the releases into the state: processes then load these bytes, or nothing.",
    "With a gate in the rollout file, both releases judge the recorded calls first; over a limit, nothing begins.",
  ],
  example: "serin start",
  flags: { ...PLACE_FLAGS, ...GATE_FLAGS, ...ACTOR_FLAGS, ...JSON_FLAG },
  answers: CHANGE,
  async run({ values, io, out }) {
    const place = await placeOf(values, io)
    requireWritable(place, "start")
    const spec = await readSpec(place)
    const actor = actorOf(values, io)
    const reason = reasonOr(values.reason, `put ${spec.canary} to the test`)
    const now = (): number => io.clock.now()
    const before = await readState(place.store, spec.rollout)
    const state = await ensureState(place.store, spec, actor, now())
    const event = { type: "start", spec, salt: newSalt(), actor, reason } as const
    // What is refused anyway is refused before the calls are replayed.
    transition(state, { ...event, spec: { ...spec, gate: undefined } }, now())
    const digests = await pinsFor("start", spec, place, values, io)
    const gate = await replayGate("start", spec, place, values, io)
    const after = await act(place.store, spec.rollout, { ...event, gate, digests }, now)
    printChange({ values, io, out }, place, {
      before,
      after,
      asked: "start",
      told: {
        next: firstStage(after, now()),
        undo: "rollback",
        warning:
          before === null
            ? "there was no state here: a process that runs and knows an older one of this rollout follows nothing of this but a kill until it is started again"
            : undefined,
      },
    })
    return EXIT.ok
  },
})

/** Say from when on sessions count: more exposure waits until every process can know of it. */
function firstStage({ ramp, spec, canary, stable }: RolloutState, now: number): string {
  const entry = ramp.at(-1)
  const period = spec.stages[0]?.periodMs ?? 0
  if (entry === undefined) return ""
  const atLeast = `for ${formatSpan(period)} at least`
  if (entry.weightBp === 0) {
    return `from ${formatTime(entry.at)} on both judge and ${stable} serves, ${atLeast}; no session is served by ${canary} yet`
  }
  const from = `${formatTime(entry.at)} (${formatWhen(entry.at, now)})`
  return `of the sessions that begin after ${from}, ${canary} serves ${formatShare(entry.weightBp)}, ${atLeast}`
}
