import { resolve } from "node:path"
import { explain } from "../analysis/explain.js"
import { stateKey } from "../controller/keys.js"
import type { Diff } from "../evidence/diffs.js"
import { newestRecord } from "../controller/records.js"
import { parseRecord, type VerdictRecord } from "../controller/verdict-record.js"
import { isSerinError, SerinError } from "../errors.js"
import type { Outcome } from "../model/decision.js"
import type { Verdict } from "../model/verdict.js"
import { parseState, type RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { z } from "zod"
import { isUnderWay } from "../rollout/phase.js"
import { VERDICT_SCHEMA } from "../rollout/state-schema.js"
import { answers, DIFF, OUTLOOK, PHASE, time } from "./answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { EXIT } from "./exit-code.js"
import { formatTime, formatWhen } from "../operate/format.js"
import type { Say } from "../operate/next-step.js"
import { outlookOf, outlookWords } from "../operate/outlook-words.js"
import { placeOf, quoted, rolloutName, type Place } from "./place.js"
import { plain, table, type Line } from "./printer.js"
import { tellMissing } from "./status.js"
import { takeSnapshot, type Snapshot } from "../operate/snapshot.js"
import { writeNew } from "./write-new.js"

export const explainCommand = defineCommand({
  example: "serin explain",
  flags: {
    ...PLACE_FLAGS,
    out: { type: "string", value: "FILE", text: "write the newest recorded verdict there, for `serin verify`" },
    ...JSON_FLAG,
  },
  answers: answers(
    "serin/explain/1",
    z.object({
      rollout: z.string(),
      phase: PHASE.nullable(),
      verdict: VERDICT_SCHEMA.nullable(),
      diffs: z.array(DIFF),
      outlook: z.array(OUTLOOK),
      /** Why there is no verdict. */
      why: z.string().nullable(),
      /** The verdict in words, several lines. */
      text: z.string().nullable(),
    }),
    /** With `--out`. */
    z.object({ rollout: z.string(), out: z.string(), at: time, revision: z.int() }),
  ),
  async run({ values, io, out }) {
    const place = await placeOf(values, io)
    const name = await rolloutName(place, out)
    const snapshot = await takeSnapshot(place.store, name, io.clock.now())
    if (snapshot === null) {
      if (values.json)
        out.json({ rollout: name, phase: null, verdict: null, diffs: [], outlook: [], why: "no state", text: null })
      else await tellMissing(place, name, out)
      return EXIT.noState
    }
    if (values.out !== undefined) {
      const written = await writeRecord(place, name, resolve(io.cwd, values.out))
      if (values.json) out.json({ rollout: name, out: values.out, ...written })
      else out.lines(recordLines(written, values.out, snapshot))
      return EXIT.ok
    }
    const verdict = snapshot.verdict ?? (await lastVerdict(place.store, snapshot.state))
    const diffs = snapshot.report?.generation === snapshot.state.generation ? snapshot.report.diffs : null
    const why = verdict === null ? whyNone(snapshot, place.command) : null
    if (values.json) {
      out.json({
        rollout: name,
        phase: snapshot.phase,
        verdict,
        diffs: diffs ?? [],
        outlook: outlookOf(snapshot),
        why,
        text: verdict && inWords(verdict),
      })
      return EXIT.ok
    }
    out.lines(
      verdict === null
        ? [[`no verdict: ${why}`]]
        : inWords(verdict)
            .split("\n")
            .map((line) => [line]),
    )
    if (verdict !== null && !snapshot.judged) {
      out.line(`no process is judging this rollout: the verdict is of ${formatWhen(verdict.at, snapshot.now)}`)
    }
    const fuse = isUnderWay(snapshot.phase) ? snapshot.state.holds.find(({ reason }) => reason === "fuse") : undefined
    if (fuse !== undefined) {
      const why = fuse.note === undefined ? "" : `: ${fuse.note}`
      out.line(`a fuse keeps the canary out of the judging process since ${formatWhen(fuse.since, snapshot.now)}${why}`)
    }
    out.lines(outlookLines(snapshot))
    if (diffs !== null) out.lines(diffLines(diffs, verdict))
    return EXIT.ok
  },
})

/** Copy the newest recorded verdict into a file of its own. Refuses a file that is there. */
async function writeRecord(place: Place, name: string, path: string): Promise<Pick<VerdictRecord, "at" | "revision">> {
  const text = await newestRecord(place.store, name)
  if (text === null) {
    const fix = "one is with each change that a verdict makes, and whenever the application asks for `verdictRecord()`"
    throw new SerinError("VERDICT_INVALID", `no verdict is kept in ${place.shownState} yet: ${fix}`)
  }
  const { at, revision } = parseRecord(text)
  await writeNew(path, text, { shown: `serin explain: ${path}`, mode: 0o600 })
  return { at, revision }
}

function recordLines(
  { at, revision }: Pick<VerdictRecord, "at" | "revision">,
  path: string,
  snapshot: Snapshot,
): Line[] {
  const newer = snapshot.verdict !== null && snapshot.verdict.at > at
  return [
    [`${path}: the verdict of ${formatTime(at)}, on revision ${revision}`],
    [`  next: \`serin verify ${quoted(path)}\` makes it again`],
    ...(newer ? [["  the rollout was judged since: what moves nothing is not recorded by itself"]] : []),
  ]
}

/** `explain` writes several lines; a reason must not add one that looks like them. */
export function inWords(verdict: Verdict): string {
  const criteria = verdict.criteria.map((criterion) => ({ ...criterion, reason: plain(criterion.reason) }))
  return explain({ ...verdict, reason: plain(verdict.reason), criteria })
}

/** After a kill, the verdict that moved the rollout before it. */
async function lastVerdict(store: StateStore, { rollout, generation }: RolloutState): Promise<Verdict | null> {
  for await (const { envelope } of store.history(stateKey(rollout))) {
    try {
      const state = parseState(envelope)
      if (state.generation !== generation) return null
      if (state.last.verdict !== undefined) return state.last.verdict
    } catch (error) {
      if (!isSerinError(error)) throw error
    }
  }
  return null
}

function whyNone({ state, phase, judged, report, reportProblem }: Snapshot, say: Say): string {
  if (state.canary === null) return `no canary was started yet; \`${say("start")}\` begins`
  if (reportProblem !== undefined) return `the report cannot be read: ${reportProblem}`
  if (!isUnderWay(phase)) return "this rollout ended before it was judged"
  if (!judged) return "no process is judging this rollout; start the application that embeds it"
  if (report?.problem !== undefined) return `judging failed: ${report.problem}`
  return "the rollout was not judged yet; it is within seconds, once the application answers calls"
}

function outlookLines(snapshot: Snapshot): Line[] {
  const outlooks = outlookOf(snapshot)
  if (outlooks.length === 0) return []
  const rows = outlooks.map((one): Line => {
    const more = "sessions" in one ? `, ${one.sessions.toLocaleString("en-US")} more sessions` : ""
    return [`  ${one.criterion}`, `${outlookWords(one)}${more}`]
  })
  return [[], ["if traffic and estimates stay as they are:"], ...table(rows)]
}

const VERBS: Readonly<Record<Outcome, string>> = {
  allow: "allows",
  deny: "denies",
  escalate: "escalates",
  error: "fails",
}

function diffLines(diffs: readonly Diff[], verdict: Verdict | null): Line[] {
  const judgedByBoth = verdict !== null && verdict.sessions.paired > 0
  if (diffs.length === 0) return judgedByBoth ? [[], ["the releases agreed on every call that both judged"]] : []
  const side = ({ outcome, rule }: Diff["stable"]): string =>
    `${VERBS[outcome]}${rule === undefined ? "" : ` by ${rule}`}`
  const rows = diffs.map(({ action, stable, canary, calls }): Line => {
    return [`  ${calls.toLocaleString("en-US")}×`, action, `stable ${side(stable)}`, `canary ${side(canary)}`]
  })
  return [[], ["where the releases disagree, most frequent first:"], ...table(rows)]
}
