import type { ParsedNode } from "yaml"
import type { Problem } from "../errors.js"
import { own } from "../model/record.js"
import { openDocument } from "./document.js"
import { clip } from "./problems.js"
import type { SourceDocument } from "./document.js"
import type { Alert, Monitor, SourceFile } from "./ports.js"

/** One limit on what happens in a session. */
interface Threshold {
  readonly alert: Alert
  /** Type of the events that it is about; null: every event. */
  readonly event: string | null
  /** Where in the event the number is; empty: each event counts 1. */
  readonly path: readonly string[]
  /** The number itself is looked at, or what it adds up to in the session. */
  readonly total: boolean
  readonly isBeyond: (value: number) => boolean
}

const MAX_THRESHOLDS = 200
/** Sessions of which totals are kept; the one that was longest without an event is forgotten first. */
const MAX_SESSIONS = 20_000
const NAME = /^[\w.:/-]{1,64}$/
const FIELD = /^[\w-]{1,64}(\.[\w-]{1,64}){0,7}$/
const KEYS = ["alert", "event", "field", "above", "below", "total_above"] as const
const LIMITS = ["above", "below", "total_above"] as const

/**
 * Read thresholds and make the monitor that raises an alert for each event that is beyond one; null when what is wrong with them,
 * which is pushed on `problems`, leaves none. An event without the number that a threshold is about is an error of the monitor.
 */
export function readThresholds(file: SourceFile, problems: Problem[]): Monitor | null {
  const before = problems.length
  const document = openDocument(file, problems)
  const fields = document.root && document.fields(document.root, "the file", ["thresholds"])
  const list = fields && document.need(fields, "thresholds", "the file", "write `thresholds:` and a list below it")
  if (list === null) return null
  const nodes = document.items(list, "`thresholds`") ?? []
  if (nodes.length === 0) document.refuse(list, "there is no threshold in `thresholds`", "write one")
  if (nodes.length > MAX_THRESHOLDS) document.refuse(list, `more than ${MAX_THRESHOLDS} thresholds`, "join some")
  const thresholds = nodes.slice(0, MAX_THRESHOLDS).flatMap((node) => readThreshold(document, node) ?? [])
  return problems.length > before ? null : thresholdMonitor(thresholds)
}

function thresholdMonitor(thresholds: readonly Threshold[]): Monitor {
  const sessions = new Map<string, Float64Array>()

  /** Totals of a session, in the order of the thresholds. */
  function totalsOf(sessionId: string): Float64Array {
    const totals = sessions.get(sessionId) ?? new Float64Array(thresholds.length)
    sessions.delete(sessionId) // set again, it is the last to be forgotten
    sessions.set(sessionId, totals)
    if (sessions.size > MAX_SESSIONS) sessions.delete(sessions.keys().next().value!)
    return totals
  }

  return Object.freeze({
    observe(event: unknown, { sessionId }) {
      const type = typeOf(event)
      const about = thresholds.map((one) => one.event === null || one.event === type)
      // All is read before the first total moves: an event that fails must not count by halves.
      const values = thresholds.map((one, i) => (about[i] ? valueOf(event, one) : 0))
      const totals = totalsOf(sessionId)
      const endless = thresholds.find((one, i) => one.total && !Number.isFinite(totals[i]! + values[i]!))
      // Attack: two amounts of -1e308, after which no total would ever be above anything.
      if (endless !== undefined)
        throw new RangeError(`alert \`${endless.alert.name}\`: the total is beyond all numbers`)
      const alerts: Alert[] = []
      for (const [i, one] of thresholds.entries()) {
        if (about[i] !== true) continue
        const value = one.total ? (totals[i] = (totals[i] ?? 0) + (values[i] ?? 0)) : (values[i] ?? 0)
        if (one.isBeyond(value)) alerts.push(one.alert)
      }
      return alerts
    },
  } satisfies Monitor)
}

/** An event is a text, or a mapping with its `type`. */
function typeOf(event: unknown): string | null {
  if (typeof event === "string") return event
  const type = own(event, "type")
  return typeof type === "string" ? type : null
}

function valueOf(event: unknown, { path, alert }: Threshold): number {
  if (path.length === 0) return 1
  const value = path.reduce((at, key) => own(at, key), event)
  if (typeof value === "number" && Number.isFinite(value)) return value
  throw new TypeError(`alert \`${alert.name}\`: the event has no number at ${path.join(".")}, but a ${typeof value}`)
}

function readThreshold(document: SourceDocument, node: ParsedNode): Threshold | null {
  const fields = document.fields(node, "the threshold", KEYS)
  if (fields === null) return null
  const alertNode = document.need(fields, "alert", "the threshold", "name the alert that it raises")
  const alert = alertNode && document.text(alertNode, "`alert`")
  if (alertNode !== null && alert !== null && !NAME.test(alert)) {
    document.refuse(alertNode, "`alert` has other characters or is too long", "use up to 64 letters, digits, . _ : / -")
  }
  const name = alert === null ? "the threshold" : `alert \`${clip(alert)}\``
  const eventNode = fields.get("event")
  const event = eventNode === undefined ? null : document.text(eventNode, `${name}: \`event\``)
  const fieldNode = fields.get("field")
  const field = fieldNode === undefined ? null : document.text(fieldNode, `${name}: \`field\``)
  if (fieldNode !== undefined && field !== null && !FIELD.test(field)) {
    document.refuse(fieldNode, `${name}: \`field\` is no path`, "write names with . between them, such as input.amount")
  }
  const given = LIMITS.filter((key) => fields.get(key) !== undefined)
  const [key] = given
  if (key === undefined || given.length > 1) {
    const fix = given.length > 1 ? "write a threshold for each" : "write one"
    document.refuse(node, `${name} must have one of \`above\`, \`below\` and \`total_above\`, has ${given.length}`, fix)
    return null
  }
  if (key !== "total_above" && fieldNode === undefined) {
    document.refuse(node, `${name} has \`${key}\` and no \`field\``, "name the field, or count events by `total_above`")
  }
  const limit = document.number(fields.get(key)!, `${name}: \`${key}\``)
  if (alert === null || limit === null) return null
  return {
    alert: Object.freeze({ name: alert, message: `${field ?? event ?? "events"} ${WORDS[key]} ${limit}` }),
    event,
    path: field === null ? [] : field.split("."),
    total: key === "total_above",
    isBeyond: key === "below" ? (value) => value < limit : (value) => value > limit,
  }
}

const WORDS = { above: "above", below: "below", total_above: "in all above" } as const
