import { CHANGE } from "./answer.js"
import { ensureState, readState } from "../controller/verbs.js"
import { isSerinError, SerinError } from "../errors.js"
import { change, reasonOr, requiredReason, targetOf } from "./change.js"
import { ACTOR_FLAGS, choice, defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { actorOf, readSpec, type Place } from "./place.js"

export const killCommand = defineCommand({
  notes: ["`--position deny` needs --reason. On a killed rollout, changes the position."],
  example: 'serin kill --position deny --reason "the agent deletes accounts"',
  flags: {
    ...PLACE_FLAGS,
    position: {
      type: "string",
      value: "stable|deny",
      text: "who serves (default: stable); deny: nobody, every call is denied",
    },
    ...ACTOR_FLAGS,
    ...JSON_FLAG,
  },
  answers: CHANGE,
  async run({ values, io, out }) {
    const position = choice("position", values.position, ["stable", "deny"]) ?? "stable"
    const reason =
      position === "deny"
        ? requiredReason("kill --position deny", values.reason)
        : reasonOr(values.reason, "killed by hand")
    const actor = actorOf(values, io)
    const target = await targetOf("kill", { values, io, out })
    const { place, name } = target
    const created = await createMissing()
    return change({ values, io, out }, target, { type: "kill", position, actor, reason }, ({ stable }) => ({
      next:
        position === "deny"
          ? "every call is denied from now on"
          : `${stable} serves every session from its next call on`,
      undo: position === "deny" ? "kill --position stable" : 'retry --reason "…"',
      warning: created
        ? `there was no state in ${place.shownState}, so one was made: a process that knows an older one obeys the kill, and follows nothing else from here until it is restarted`
        : undefined,
    }))

    /** Before the first start, a kill is for those who will start. */
    async function createMissing(): Promise<boolean> {
      const state = await readState(place.store, name).catch((error: unknown) => {
        if (isSerinError(error) && (error.code === "STATE_INVALID" || error.code === "STATE_UNTRUSTED")) return "broken"
        throw error
      })
      if (state !== null) return false
      const spec = await readSpec(place).catch((error: unknown) => {
        throw nothingToKill(place, name, error)
      })
      await ensureState(place.store, spec, actor, io.clock.now())
      return true
    }
  },
})

/** Say what is true of those who run, of those who will start, and of this command. */
function nothingToKill({ shownFile, shownState }: Place, name: string, error: unknown): unknown {
  if (!isSerinError(error)) return error
  const message =
    `nothing was killed, and nothing written: ${name} has no state in ${shownState}, and a state that is killed from the ` +
    `beginning needs a valid ${shownFile}. No process starts on this file; stop those that still run on a state that is gone`
  const problems = error.problems.length > 0 ? error.problems : [{ where: shownFile, message: error.message }]
  return new SerinError(error.code, message, { cause: error, problems })
}
