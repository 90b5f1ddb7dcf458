import { resolve } from "node:path"
import { expandEvidence, hasOwnLayout } from "../analysis/compact.js"
import { observedTraffic } from "../analysis/observed.js"
import { plan } from "../analysis/plan.js"
import type { Traffic } from "../analysis/workload.js"
import { newestRecord } from "../controller/records.js"
import { parseRecord } from "../controller/verdict-record.js"
import { isSerinError } from "../errors.js"
import { readCalls } from "../testing/calls.js"
import { sizesOfCalls } from "./call-sizes.js"
import { PLAN } from "./plan-answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS, usage } from "./command.js"
import { EXIT } from "./exit-code.js"
import { formatTime } from "../operate/format.js"
import { placeOf, readSpec, type Place } from "./place.js"
import { planDocument, planTable } from "./plan-view.js"

/** Traffic, and where it was learnt. */
export interface Known {
  readonly traffic: Partial<Traffic>
  readonly from: string
}

export const planCommand = defineCommand({
  notes: [
    "Traffic is taken from the flags, then from --calls, then from the newest recorded verdict, then from defaults that are shown.",
    "Times are for four of five rollouts; --json has those for half of them as well.",
  ],
  example: "serin plan --sessions-per-minute 12 --calls calls.jsonl",
  flags: {
    ...PLACE_FLAGS,
    "sessions-per-minute": { type: "string", value: "N", text: "sessions that start and take part, a minute" },
    "calls-per-session": { type: "string", value: "N", text: "calls of a session that are counted, at most 20" },
    calls: { type: "string", value: "FILE", text: "recorded calls, JSON lines, to take the sizes of sessions from" },
    effects: { type: "string", value: "LIST", text: "how much worse the canary is, as shares of calls: 0.05,1" },
    ...JSON_FLAG,
  },
  answers: PLAN,
  async run({ values, io, out }) {
    const place = await placeOf(values, io)
    const spec = await readSpec(place)
    const flags = {
      ...numberFlag("sessionsPerMinute", "sessions-per-minute", values["sessions-per-minute"], Number.MAX_VALUE),
      ...numberFlag("callsPerSession", "calls-per-session", values["calls-per-session"], 20),
    }
    const known: Known[] = [{ traffic: flags, from: "flag" }]
    if (values.calls !== undefined) {
      known.push({ traffic: sizesOfCalls(await readCalls(resolve(io.cwd, values.calls))), from: values.calls })
    }
    const recorded = await fromRecord(place, spec.rollout)
    if (recorded !== null) known.push(recorded)

    const traffic = mergeKnown(known)
    if (traffic.sessionsPerMinute === undefined) {
      throw usage(
        "serin plan: say how many sessions start in a minute, with --sessions-per-minute N: nothing is recorded yet",
      )
    }
    const { sessionsPerMinute, ...rest } = traffic
    const planned = plan(spec, { sessionsPerMinute, ...rest }, { effects: readEffects(values.effects) })
    if (values.json) out.json(planDocument(spec, planned, known))
    else out.lines(planTable(spec, planned, known))
    return EXIT.ok
  },
})

/** The first that says a thing counts; sizes belong together. */
export function mergeKnown(known: readonly Known[]): Partial<Traffic> {
  const merged: { -readonly [K in keyof Traffic]?: Traffic[K] } = {}
  for (const { traffic } of known) {
    // The spread of other sessions says nothing about sizes that somebody gave.
    const { kish, ...others } = traffic
    if (kish !== undefined && merged.callsPerSession === undefined) merged.kish = kish
    for (const [key, value] of Object.entries(others)) {
      if (value !== undefined) (merged as Record<string, unknown>)[key] ??= value
    }
  }
  return merged
}

/** What the newest recorded verdict tells of the traffic; null without one, and where it cannot be read: there are other ways. */
async function fromRecord(place: Place, rollout: string): Promise<Known | null> {
  try {
    const text = await newestRecord(place.store, rollout)
    const record = text === null ? null : parseRecord(text)
    const start = record?.inputs.ramp[0]?.at
    if (record === null || start === undefined || !hasOwnLayout(record.inputs.evidence)) return null
    // Sessions from before the ramp came in for nobody knows how long.
    const { generation, strata } = expandEvidence(record.inputs.evidence)
    const traffic = observedTraffic({ generation, strata: strata.slice(1) }, record.at - start)
    return traffic && { traffic, from: `recorded until ${formatTime(record.at)}` }
  } catch (error) {
    if (isSerinError(error) || error instanceof RangeError) return null
    throw error
  }
}

function numberFlag<K extends keyof Traffic>(key: K, flag: string, text: string | undefined, most: number) {
  if (text === undefined) return {}
  return { [key]: readNumber(flag, text, most) } as { readonly [P in K]: number }
}

/** Read a number above 0. */
export function readNumber(flag: string, text: string, most: number): number {
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN
  if (value > 0 && value <= most) return value
  const limit = most < Number.MAX_VALUE ? ` and at most ${most}` : ""
  throw usage(`--${flag} must be a number above 0${limit}, got ${JSON.stringify(text)}`)
}

function readEffects(text: string | undefined): readonly number[] | undefined {
  return text?.split(",").map((one) => readNumber("effects", one.trim(), 1))
}
