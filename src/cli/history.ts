import { stateKey } from "../controller/keys.js"
import { isSerinError } from "../errors.js"
import { parseState, type Transition } from "../rollout/state.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS, usage } from "./command.js"
import { EXIT } from "./exit-code.js"
import { formatTime } from "../operate/format.js"
import { placeOf, rolloutName } from "./place.js"
import { table, type Line } from "./printer.js"

interface Row {
  readonly revision: number
  /** Null: the revision cannot be read; `problem` says why. */
  readonly transition: Transition | null
  readonly problem?: string
}

export const historyCommand = defineCommand({
  name: "history",
  summary: "List every revision that is kept, newest first: when, what, who, why",
  example: "serin history --limit 10",
  flags: { ...PLACE_FLAGS, limit: { type: "string", value: "N", text: "the newest N only" }, ...JSON_FLAG },
  async run({ values, io, out }) {
    const limit = readLimit(values.limit)
    const place = await placeOf(values, io)
    const name = await rolloutName(place, out)
    const rows: Row[] = []
    for await (const { revision, envelope } of place.store.history(stateKey(name), { signal: io.signal })) {
      if (rows.length >= limit) break
      rows.push(readRow(revision, envelope))
    }
    if (place.readOnly) out.note(`note: over HTTP there is the newest revision alone`)
    if (values.json) {
      out.json(rows.map(({ revision, transition, problem }) => ({ revision, ...(transition ?? { problem }) })))
    } else if (rows.length === 0) {
      out.line(`${name}: no state; \`${place.command("start")}\` makes it`)
    } else {
      out.lines(table([["revision", "time", "event", "actor", "reason"], ...rows.map(rowLine)]))
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
  try {
    return { revision, transition: parseState(envelope).last }
  } catch (error) {
    if (!isSerinError(error)) throw error
    const [first] = error.problems
    return {
      revision,
      transition: null,
      problem: first === undefined ? error.message : `${first.where} ${first.message}`,
    }
  }
}

function rowLine({ revision, transition, problem = "" }: Row): Line {
  if (transition === null) return [`${revision}`, "-", { text: "unreadable", style: "red" }, "-", problem]
  const { event, at, actor, reason } = transition
  return [`${revision}`, formatTime(at), event, actor.kind === "human" ? actor.id : `${actor.id} (controller)`, reason]
}
