import { stateKey } from "../controller/keys.js"
import { hashOf } from "../controller/write-state.js"
import { isSerinError } from "../errors.js"
import { parseState, type Transition } from "../rollout/state.js"
import { z } from "zod"
import { VERDICT_SCHEMA } from "../rollout/state-schema.js"
import { answers, time } from "./answer.js"
import { AUDIT } from "./audit-answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS, usage } from "./command.js"
import { EXIT } from "./exit-code.js"
import { formatTime } from "../operate/format.js"
import { readHeads, verifyHistory } from "./history-verify.js"
import { placeOf, rolloutName } from "./place.js"
import { table, type Line } from "./printer.js"

interface Row {
  readonly revision: number
  readonly hash: string
  /** Null: the revision cannot be read; `problem` says why. */
  readonly transition: Transition | null
  readonly problem?: string
}

export const historyCommand = defineCommand({
  notes: [
    "Each revision bears the hash of the one before it, and of the recorded verdict that moved the rollout.",
    "--verify exits with 0 whole; 10 broken; 1 a noted head cannot be compared; 6 there is no history.",
  ],
  example: "serin history --verify",
  flags: {
    ...PLACE_FLAGS,
    limit: { type: "string", value: "N", text: "the newest N only" },
    verify: { type: "boolean", text: "compare each revision with what the next was written over" },
    head: { type: "string", value: "HEAD", text: "with --verify: a head that was noted, or a file of them" },
    ...JSON_FLAG,
  },
  answers: answers(
    "serin/history/1",
    z.object({
      rollout: z.string(),
      /** Newest first. */
      revisions: z.array(
        z.union([
          z.object({
            revision: z.int(),
            hash: z.string(),
            event: z.string(),
            at: time,
            actor: z.object({ kind: z.enum(["human", "controller"]), id: z.string() }),
            reason: z.string(),
            verdict: VERDICT_SCHEMA.optional(),
            /** Hash of the recorded verdict that moved the rollout. */
            record: z.string().optional(),
            /** Hash of the revision before it. */
            previous: z.string().optional(),
          }),
          /** One that cannot be read. */
          z.object({ revision: z.int(), hash: z.string(), problem: z.string() }),
        ]),
      ),
    }),
  ),
  moreAnswers: [AUDIT],
  async run({ values, io, out }) {
    const limit = readLimit(values.limit)
    if (values.verify && values.limit !== undefined) throw usage("serin history: --verify walks all; leave --limit out")
    if (!values.verify && values.head !== undefined) throw usage("serin history: --head needs --verify")
    const place = await placeOf(values, io)
    const heads = await readHeads(values.head, io)
    const name = await rolloutName(place, out)
    if (values.verify) return verifyHistory({ place, rollout: name, heads, json: values.json, io, out })
    const rows: Row[] = []
    for await (const { revision, envelope } of place.store.history(stateKey(name), { signal: io.signal })) {
      if (rows.length >= limit) break
      rows.push(readRow(revision, envelope))
    }
    if (place.readOnly) out.note(`note: over HTTP there is the newest revision alone`)
    if (values.json) {
      const revisions = rows.map(({ revision, hash, transition, problem = "" }) => {
        return { revision, hash, ...(transition ?? { problem }) }
      })
      out.json({ rollout: name, revisions })
    } else if (rows.length === 0) {
      out.line(`${name}: no state; \`${place.command("start")}\` makes it`)
    } else {
      out.lines(table([["revision", "hash", "time", "event", "verdict", "actor", "reason"], ...rows.map(rowLine)]))
    }
    return rows.length === 0 ? EXIT.noState : EXIT.ok
  },
})

function readLimit(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY
  if (!/^[1-9]\d{0,8}$/.test(text)) throw usage(`--limit must be a whole number from 1 on, got ${JSON.stringify(text)}`)
  return Number(text)
}

function readRow(revision: number, envelope: string): Row {
  const hash = hashOf(envelope)
  try {
    return { revision, hash, transition: parseState(envelope).last }
  } catch (error) {
    if (!isSerinError(error)) throw error
    const [first] = error.problems
    return {
      revision,
      hash,
      transition: null,
      problem: first === undefined ? error.message : `${first.where} ${first.message}`,
    }
  }
}

function rowLine({ revision, hash, transition, problem = "" }: Row): Line {
  const begin = [`${revision}`, { text: shortHash(hash), style: "dim" }] as const
  if (transition === null) return [...begin, "-", { text: "unreadable", style: "red" }, "-", "-", problem]
  const { event, at, actor, reason, record } = transition
  const who = actor.kind === "human" ? actor.id : `${actor.id} (controller)`
  return [...begin, formatTime(at), event, record === undefined ? "-" : shortHash(record), who, reason]
}

/** Enough to find it in a list. */
const shortHash = (hash: string): string => hash.slice("sha256:".length, "sha256:".length + 12)
