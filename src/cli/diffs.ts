import { readFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { readDecisionLog } from "../decision-log/read.js"
import type { Disagreements } from "../disagreements/document.js"
import { disagreementLog, type DisagreementLog } from "../disagreements/log.js"
import { groupOfExample } from "../disagreements/group-of-example.js"
import { drawNext, keepLabel } from "../disagreements/label.js"
import { GROUP_ID, SAYS, type Label } from "../disagreements/labels.js"
import { storedDisagreements } from "../disagreements/stored.js"
import { whyUnread } from "../model/file-error.js"
import { replayOne } from "../replay/one-call.js"
import { ACTOR_FLAGS, choice, defineCommand, JSON_FLAG, PLACE_FLAGS, usage, type Values } from "./command.js"
import { CALL_REPLAY, DIFFS, DISAGREEMENTS } from "./diffs-answer.js"
import { diffsLines, drawnLines, labelledLines, replayedLines } from "./diffs-view.js"
import { ENGINES_FLAG, enginesOf } from "./engines.js"
import { EXIT } from "./exit-code.js"
import type { Io } from "./io.js"
import { actorOf, placeOf, requireWritable, rolloutName, type Place } from "./place.js"
import type { Printer } from "./printer.js"
import { MODULES_FLAG, modulesOf, releaseAt } from "./release-at.js"
import { tellMissing } from "./status.js"
import { KEYS_FLAGS, readTrustedKeys } from "./trusted-keys.js"

const FLAGS = {
  ...PLACE_FLAGS,
  log: { type: "string", value: "FILE", text: "a decision log: it has the calls" },
  group: { type: "string", value: "ID", text: "one group alone" },
  draw: { type: "boolean", text: "draw one at random to be labelled, and show it" },
  label: { type: "string", value: "ID", text: "label a call or a group, by its id" },
  as: { type: "string", value: SAYS.join("|"), text: "whether the canary is right about it" },
  note: { type: "string", value: "TEXT", text: "why; kept with the label" },
  by: ACTOR_FLAGS.by,
  replay: { type: "string", value: "ID", text: "have both releases judge that call again" },
  releases: { type: "string", value: "DIR", text: "the releases (default: releases/ beside the rollout file)" },
  text: { type: "string", value: "FILE", text: "with --replay: what a tool gave back, for the scanners" },
  ...KEYS_FLAGS,
  ...MODULES_FLAG,
  ...ENGINES_FLAG,
  ...JSON_FLAG,
} as const

interface Asked {
  readonly values: Values<typeof FLAGS>
  readonly io: Io
  readonly out: Printer
  readonly place: Place
  readonly name: string
}

export const diffsCommand = defineCommand({
  notes: [
    "--log shows calls; --draw, --replay and the label of a call need it, unless the call was drawn.",
    "Only labels of what was drawn say how often the canary is wrong: what strikes somebody is no sample.",
  ],
  example: "serin diffs --log log/decisions.jsonl --draw",
  flags: FLAGS,
  answers: DIFFS,
  moreAnswers: [DISAGREEMENTS, CALL_REPLAY],
  async run({ values, io, out }) {
    const modes = [values.draw ? "draw" : undefined, values.label && "label", values.replay && "replay"].filter(Boolean)
    if (modes.length > 1) throw usage(`serin diffs: --${modes.join(" and --")} do not go together`)
    const place = await placeOf(values, io)
    const name = await rolloutName(place, out)
    const asked: Asked = { values, io, out, place, name }
    const log = values.log === undefined ? null : logAt(resolve(io.cwd, values.log))
    if (values.replay !== undefined) return replay(asked, values.replay, log)
    const found = await storedDisagreements(place.store, name, io.clock.now(), log && ((of) => log.examples(of)))
    if (found === null) {
      if (values.json) out.json({ rollout: name, disagreements: null })
      else await tellMissing(place, name, out)
      return EXIT.noState
    }
    if (values.draw) return draw(asked, found, log)
    if (values.label !== undefined) return label(asked, found, values.label, log)
    const shown = values.group === undefined ? found : only(found, values.group)
    if (values.json) asked.out.json(shown)
    else out.lines(diffsLines(shown))
    return EXIT.ok
  },
})

const logAt = (path: string): DisagreementLog => disagreementLog((onProblem) => readDecisionLog(path, { onProblem }))

function only(found: Disagreements, id: string): Disagreements {
  const groups = found.groups.filter((group) => group.id === id)
  if (groups.length === 0) throw usage(`serin diffs: there is no group ${id} in generation ${found.generation}`)
  return { ...found, groups }
}

async function draw(
  { values, io, out, place, name }: Asked,
  found: Disagreements,
  log: DisagreementLog | null,
): Promise<number> {
  requireWritable(place, "diffs --draw")
  if (log === null) throw usage("serin diffs: --draw needs --log FILE, which has the calls")
  const scope = values.group ?? "all"
  if (scope !== "all") only(found, scope)
  const of = { rollout: name, generation: found.generation }
  const { population } = await log.examples(of)
  const drawn = await drawNext(place.store, of, population, { scope, by: actorOf(values, io).id, at: io.clock.now() })
  const example = drawn === null ? null : await log.example(drawn.example)
  if (values.json) out.json({ rollout: name, draw: drawn, example })
  else out.lines(drawnLines(drawn, example, place.command))
  return EXIT.ok
}

async function label(
  { values, io, out, place, name }: Asked,
  found: Disagreements,
  id: string,
  log: DisagreementLog | null,
): Promise<number> {
  requireWritable(place, "diffs --label")
  const says = choice("as", values.as, SAYS)
  if (says === undefined) throw usage("serin diffs: --label needs --as right or --as wrong: is the canary right?")
  const of = { rollout: name, generation: found.generation }
  const group = GROUP_ID.test(id) ? only(found, id).groups[0]!.id : await groupOfCall()
  const example = GROUP_ID.test(id) ? null : id
  const kept: Label = { group, example, says, by: actorOf(values, io).id, at: io.clock.now(), note: values.note }
  await keepLabel(place.store, of, kept)
  const now = await storedDisagreements(place.store, name, io.clock.now(), null)
  const rates = now?.wrongRates ?? []
  if (values.json) out.json({ rollout: name, label: kept, wrongRates: rates })
  else out.lines(labelledLines(kept, rates))
  return EXIT.ok

  async function groupOfCall(): Promise<string> {
    const known = await groupOfExample(place.store, of, id, log)
    if (known !== null) return known
    if (log === null) throw usage(`serin diffs: ${id} was not drawn; --log FILE says what it is`)
    throw usage(`serin diffs: there is no call ${id} in ${values.log} that the releases disagree on`)
  }
}

async function replay({ values, io, out, place }: Asked, id: string, log: DisagreementLog | null): Promise<number> {
  if (log === null) throw usage("serin diffs: --replay needs --log FILE, which has the call")
  const judged = await log.call(id)
  if (judged === null) throw usage(`serin diffs: there is no call ${id} in ${values.log} that both releases judged`)
  const root = values.releases === undefined ? join(dirname(place.file), "releases") : resolve(io.cwd, values.releases)
  const trustedKeys = await readTrustedKeys("diffs", values, io)
  const options = {
    engines: await enginesOf("diffs", values.engines, io),
    trustedKeys,
    modules: modulesOf(values.modules),
  }
  const { decision, pair } = judged
  const stable = await releaseAt(pair.stable.release, root, options, io)
  const canary = await releaseAt(pair.canary.release, root, options, io)
  const text =
    values.text === undefined
      ? undefined
      : await readFile(resolve(io.cwd, values.text), "utf8").catch((error: unknown) => {
          throw usage(`serin diffs: --text ${values.text} cannot be read: ${whyUnread(error)}`)
        })
  const replayed = await replayOne({ stable, canary, decision, pair, text }).finally(() =>
    Promise.all([stable.close?.(), canary.close?.()]),
  )
  if (values.json) out.json(replayed)
  else out.lines(replayedLines(replayed))
  return EXIT.ok
}
