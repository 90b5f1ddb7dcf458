import { readFile, stat } from "node:fs/promises"
import { resolve } from "node:path"
import { hasOwnLayout } from "../analysis/compact.js"
import { replay, type Computer, type Difference, type Replay, type VerdictRecord } from "../analysis/replay.js"
import { newestRecord } from "../controller/records.js"
import { pastStates } from "../controller/verbs.js"
import { hashOf } from "../controller/write-state.js"
import type { RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { MAX_RECORD_BYTES, parseRecord, thisComputer } from "../controller/verdict-record.js"
import { isSerinError, SerinError } from "../errors.js"
import { whyUnread } from "../model/file-error.js"
import { z } from "zod"
import { VERDICT_SCHEMA } from "../rollout/state-schema.js"
import { answers, time, type AnswerOf, type Told } from "./answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS, usage } from "./command.js"
import { EXIT } from "./exit-code.js"
import { inWords } from "./explain.js"
import { formatTime } from "../operate/format.js"
import { placeOf, rolloutName } from "./place.js"
import { table, type Line } from "./printer.js"

const runtime = z.object({ node: z.string(), v8: z.string(), arch: z.string() })
const computer = z.object({ serin: z.string(), runtime })

const ANSWERS = answers(
  "serin/verify/1",
  z.object({
    same: z.boolean(),
    sameVersion: z.boolean(),
    sameRuntime: z.boolean(),
    recordedBy: computer,
    replayedBy: computer,
    /** A side that is not there is left out. */
    differences: z.array(
      z.object({ where: z.string(), recorded: z.unknown().optional(), replayed: z.unknown().optional() }),
    ),
    differenceCount: z.int(),
    /** Null: something else than a number differs. */
    largestRelativeDifference: z.number().nullable(),
    record: z.object({
      rollout: z.string(),
      stable: z.string(),
      canary: z.string().nullable(),
      revision: z.int(),
      generation: z.int(),
      at: time,
    }),
    /** Of the record, as the revision that it moved names it. */
    hash: z.string(),
    /** That revision; null: it moved nothing, or no history was looked at. */
    moved: z.object({ revision: z.int(), event: z.string(), at: time }).nullable(),
    verdict: VERDICT_SCHEMA,
    text: z.string(),
  }),
  z.object({ same: z.null(), why: z.string() }),
)

export const verifyCommand = defineCommand({
  operand: "[FILE]",
  notes: [
    "Without FILE: the newest one that the state directory holds. `serin explain --out FILE` writes one.",
    "Exit codes: 0 the same to the bit; 7 it is not what its inputs give here; 1 it cannot be read; 6 there is none.",
  ],
  example: "serin verify verdict.json",
  flags: { ...PLACE_FLAGS, ...JSON_FLAG },
  answers: ANSWERS,
  async run({ values, operands: [file], io, out }) {
    if (file !== undefined && (values.rollout ?? values.state) !== undefined) {
      throw usage("serin verify: FILE excludes --rollout and --state")
    }
    let text: string | null
    let moved: RolloutState | null = null
    if (file !== undefined) {
      text = await readRecord(resolve(io.cwd, file), file)
    } else {
      const place = await placeOf(values, io)
      const name = await rolloutName(place, out)
      text = await newestRecord(place.store, name)
      if (text === null) {
        if (values.json) out.json({ same: null, why: "no verdict is kept" })
        else out.line(`no verdict is kept in ${place.shownState} yet: one is with each change that a verdict makes`)
        return EXIT.noState
      }
      moved = await movedBy(place.store, name, hashOf(text))
    }
    const record = parsed(text, file ?? "the newest verdict")
    const again = replayed(record)
    const same = again.count === 0
    const about = { hash: hashOf(text), moved }
    if (values.json) out.json(documentOf(record, again, about))
    else out.lines(linesOf(record, again, about))
    return same ? EXIT.ok : EXIT.differs
  },
})

/** What the history says of a record. */
interface About {
  readonly hash: string
  /** The revision that it moved the rollout to; null: it moved nothing, or no history was looked at. */
  readonly moved: RolloutState | null
}

async function movedBy(store: StateStore, rollout: string, hash: string): Promise<RolloutState | null> {
  for await (const past of pastStates(store, rollout)) if (past.last.record === hash) return past
  return null
}

async function readRecord(path: string, shown: string): Promise<string> {
  let problem: string
  try {
    const stats = await stat(path)
    if (stats.isFile() && stats.size <= MAX_RECORD_BYTES) return await readFile(path, "utf8")
    problem = stats.isFile()
      ? `has ${stats.size} bytes, at most ${MAX_RECORD_BYTES} are read`
      : "is a folder; name a file"
  } catch (error) {
    problem = `cannot be read: ${whyUnread(error)}`
  }
  throw new SerinError("VERDICT_INVALID", `${shown} ${problem}`)
}

/** Read a record; what is wrong with it is told of the file that it is in. */
function parsed(text: string, shown: string): VerdictRecord {
  try {
    return parseRecord(text)
  } catch (cause) {
    if (!isSerinError(cause)) throw cause
    throw new SerinError(cause.code, `${shown}: ${cause.message}`, { cause, problems: cause.problems })
  }
}

function replayed(record: VerdictRecord): Replay {
  if (!hasOwnLayout(record.inputs.evidence)) {
    const message = `serin ${record.serin} counts in another way than this one, ${thisComputer().serin}: verify it with that version`
    throw new SerinError("VERDICT_INVALID", message)
  }
  try {
    return replay(record)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new SerinError("VERDICT_INVALID", `Nothing can be judged by these inputs: ${cause.message}`, { cause })
  }
}

function documentOf(
  record: VerdictRecord,
  { verdict, differences, count, largest }: Replay,
  { hash, moved }: About,
): Told<AnswerOf<typeof ANSWERS>> {
  const { rollout, stable, canary, revision, generation, at, serin, runtime } = record
  return {
    same: count === 0,
    sameVersion: serin === thisComputer().serin,
    sameRuntime: isSameRuntime(record),
    recordedBy: { serin, runtime },
    replayedBy: thisComputer(),
    differences,
    differenceCount: count,
    /** Null: something else than a number differs. */
    largestRelativeDifference: Number.isFinite(largest) ? largest : null,
    record: { rollout, stable, canary, revision, generation, at },
    /** As the revision that it moved names it. */
    hash,
    moved: moved && { revision: moved.revision, event: moved.last.event, at: moved.last.at },
    verdict,
    text: inWords(verdict),
  }
}

function linesOf(record: VerdictRecord, again: Replay, { hash, moved }: About): Line[] {
  const here = thisComputer()
  const { rollout, stable, canary, generation, revision, at } = record
  const headline: Line =
    again.count === 0
      ? [{ text: "VERIFIED", style: "green" }, ": the inputs give this verdict, to the bit"]
      : [
          { text: "NOT VERIFIED", style: "red" },
          `: ${again.count} ${again.count === 1 ? "place differs" : "places differ"}`,
        ]
  return [
    headline,
    ...table([
      ["  rollout", `${rollout}, ${stable} → ${canary ?? "-"}, generation ${generation}, revision ${revision}`],
      ["  judged", formatTime(at)],
      ["  recorded by", nameOf(record)],
      ["  replayed by", nameOf(here)],
      ["  record", hash],
      ...(moved === null ? [] : [["  moved", movedWords(moved)]]),
    ]),
    ...(again.count === 0 ? [] : differenceLines(record, again)),
    [],
    ...inWords(again.verdict)
      .split("\n")
      .map((line): Line => [line]),
  ]
}

const movedWords = ({ revision, last: { event, actor } }: RolloutState): string =>
  `revision ${revision}: ${event} by ${actor.id}; \`serin history --verify\` says whether that is whole`

function differenceLines(record: VerdictRecord, { differences, count, largest }: Replay): Line[] {
  const rows = differences.map(({ where, recorded, replayed }): Line => [`  ${where}`, show(recorded), show(replayed)])
  const left = count - differences.length
  return [
    [],
    ...table([["  where", "recorded", "replayed"], ...rows]),
    ...(left > 0 ? [[`  and ${left} more`]] : []),
    [`  ${reasonFor(record, largest)}`],
  ]
}

/** Far more than a library of functions is off by, and far less than any decision turns on. */
const ROUNDING = 1e-9

function reasonFor(record: VerdictRecord, largest: number): string {
  const sameVersion = record.serin === thisComputer().serin
  if (sameVersion && isSameRuntime(record)) {
    return "the same version on the same runtime gives other numbers: the document was changed, or made by something else"
  }
  const where = `serin ${record.serin} on Node.js ${record.runtime.node}, ${record.runtime.arch}`
  if (largest <= ROUNDING) {
    const size = largest.toExponential(1)
    return `it was computed by another runtime: all words and results are the same, numbers differ by ${size} of their size at most; to compare the last bit, verify with ${where}`
  }
  return sameVersion
    ? `it was computed by another runtime, which explains no difference as large as this; to be sure, verify with ${where}`
    : `it was computed by another version; verify with ${where}`
}

function isSameRuntime({ runtime }: Computer): boolean {
  const here = thisComputer().runtime
  return runtime.v8 === here.v8 && runtime.arch === here.arch
}

const nameOf = ({ serin, runtime: { node, v8, arch } }: Computer): string =>
  `serin ${serin} on Node.js ${node} (V8 ${v8}, ${arch})`

function show(value: Difference["recorded"]): string {
  const text = value === undefined ? "-" : JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}
