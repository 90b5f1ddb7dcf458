import { leaderKey, notifiedKey, reportKey, stateKey, verdictKey } from "../controller/keys.js"
import { isSerinError } from "../errors.js"
import { revise } from "../rollout/revise.js"
import { parseState, type RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { writeState, type Before } from "../controller/write-state.js"
import { contentOf } from "../stores/witnessed.js"
import { requiredReason } from "./change.js"
import { z } from "zod"
import { STATE_SCHEMA } from "../rollout/state-schema.js"
import { answers } from "./answer.js"
import { ACTOR_FLAGS, defineCommand, JSON_FLAG, PLACE_FLAGS, usage } from "./command.js"
import { EXIT } from "./exit-code.js"
import { phaseWords } from "../operate/next-step.js"
import { phaseOf } from "../rollout/phase.js"
import { actorOf, placeOf, rolloutName } from "./place.js"

export const signCommand = defineCommand({
  notes: [
    "Needs --reason and the state key. Look at the state first: what you sign is believed.",
    "Takes away the leader's beat, the report, the recorded verdicts and the record of what people were told, where they cannot be trusted; they are made anew.",
  ],
  example: 'serin sign --state-key state-key --reason "the store is signed from today on"',
  flags: { ...PLACE_FLAGS, ...ACTOR_FLAGS, ...JSON_FLAG },
  answers: answers(
    "serin/sign/1",
    z.object({
      /** False: another writer was first. */
      signed: z.boolean(),
      rollout: z.string(),
      revision: z.int(),
      state: STATE_SCHEMA,
      /** Keys of documents that nobody could trust. */
      removed: z.array(z.string()),
    }),
  ),
  async run({ values, io, out }) {
    const reason = requiredReason("sign", values.reason)
    const place = await placeOf(values, io)
    const { store, raw } = place
    if (!place.signs)
      throw usage("serin sign: name the state key with --state-key FILE or $SERIN_STATE_KEY; `serin keygen` makes one")
    const name = await rolloutName(place, out)
    const found = await raw.get(stateKey(name))
    if (found === null) {
      out.line(`${name} has no state in ${place.shownState} yet: \`${place.command("start")}\` makes it, signed`)
      return EXIT.noState
    }
    const content = contentOf(found.envelope)
    const state = parseState(Buffer.from(content).toString("utf8"))
    if (state.rollout !== name) throw usage(`serin sign: the state there is that of ${state.rollout}, not of ${name}`)
    const after = await signState(
      store,
      { revision: found.revision, content },
      state,
      { actor: actorOf(values, io), reason },
      io.clock.now(),
    )
    const removed: string[] = []
    for (const key of [leaderKey(name), reportKey(name), verdictKey(name), notifiedKey(name)]) {
      if (await isTrusted(store, key)) continue
      await raw.remove(key)
      removed.push(key)
    }
    if (values.json)
      out.json({
        signed: after !== null,
        rollout: name,
        revision: (after ?? state).revision,
        state: after ?? state,
        removed,
      })
    else if (after === null)
      out.line(`${name}: revision ${state.revision} was written by another meanwhile; look at it, and try again`)
    else {
      out.line({ text: name, style: "bold" }, `: ${phaseWords(phaseOf(after))}; signed as revision ${after.revision}`)
      for (const key of removed) out.line(`  removed ${key}: nobody could trust it`)
    }
    return after === null ? EXIT.failed : EXIT.ok
  },
})

/** A new revision with the same content; null: another writer was first. */
async function signState(
  store: StateStore,
  before: Before,
  state: RolloutState,
  asked: Pick<RolloutState["last"], "actor" | "reason">,
  now: number,
): Promise<RolloutState | null> {
  const next = revise({ ...state, revision: before.revision }, now, { event: "sign", ...asked }, {})
  return (await writeState(store, before, next))?.state ?? null
}

async function isTrusted(store: StateStore, key: string): Promise<boolean> {
  try {
    await store.get(key)
    return true
  } catch (error) {
    if (isSerinError(error) && error.code === "STATE_UNTRUSTED") return false
    throw error
  }
}
