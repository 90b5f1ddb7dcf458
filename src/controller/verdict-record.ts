import process from "node:process"
import { z } from "zod"
import type { CompactEvidence, CompactStratum } from "../analysis/compact.js"
import type { Computer, VerdictInputs, VerdictRecord } from "../analysis/replay.js"
import type { TripRow, TripState } from "../analysis/trip.js"
import { SerinError, describeProblems, type Problem } from "../errors.js"
import { BINS, type Coarse, type EvidenceGap } from "../model/evidence.js"
import { CRITERIA, type Criterion } from "../model/verdict.js"
import { SERIN_VERSION } from "../model/version.js"
import { exactly, parseDocument } from "../rollout/json-document.js"

export type { VerdictRecord } from "../analysis/replay.js"

/** The largest record that is written or read, UTF-8 bytes. One of five busy stages has about a million. */
export const MAX_RECORD_BYTES = 8 * 1024 * 1024
const MAX_STRATA = 65

/** Say what computes here. */
export function thisComputer(): Computer {
  const { node, v8 } = process.versions
  return { serin: SERIN_VERSION, runtime: { node, v8, arch: process.arch } }
}

/** Write a record as a document. */
export const serializeRecord = (record: VerdictRecord): string => JSON.stringify(record)

/**
 * Read a record from a world that may be hostile: bounded before it is parsed, strict about what the replay reads. The recorded
 * verdict is no more than data to compare with. Throws a `SerinError` (`VERDICT_INVALID`) whose `problems` name the fields.
 */
export function parseRecord(text: string): VerdictRecord {
  return parseDocument(text, { noun: "record", maxBytes: MAX_RECORD_BYTES, schema: RECORD, invalid })
}

const time = z.number().min(-8.64e15).max(8.64e15)
const name = z.string().max(256)
const generation = z.int().min(0)
const count = z.number().min(0)
const criterion = z.enum(CRITERIA)
const counts = z.array(z.number())

const stratum = exactly<CompactStratum>({
  cells: counts,
  pairs: counts,
  pairsAfter: counts,
  pairedSessions: counts,
  latency: counts,
  pairedLatency: counts,
  scanLatency: counts,
  scanPairs: counts,
  scanPairedSessions: counts,
  pairedScanLatency: counts,
})
const bin = z.int().min(0).max(BINS)
const ranges = z.array(z.tuple([bin, bin])).max(BINS)
const evidence = exactly<CompactEvidence>({
  generation,
  cohorts: count,
  bins: count,
  cells: z.array(name).max(256),
  strata: z.array(stratum).max(MAX_STRATA),
  coarse: exactly<Coarse>({ latency: ranges, scanLatency: ranges }).optional(),
  gap: exactly<EvidenceGap>({ noData: z.enum(["stale", "errored"]), detail: z.string().max(10_000) }).optional(),
})
const tripRow = exactly<TripRow>({
  criterion,
  stratum: z.int().min(0).max(MAX_STRATA),
  ceiling: z.number().nullable(),
  sessions: count,
  bad: count,
  logE: z.number(),
})
/** Exported for reports: the next leader reads it there. */
export const TRIP_SCHEMA = exactly<TripState>({ generation, rows: z.array(tripRow).max(MAX_STRATA * CRITERIA.length) })
const inputs = exactly<VerdictInputs>({
  criteria: z
    .array(exactly<Criterion>({ name: criterion, max: count, mode: z.enum(["enforce", "notify"]) }))
    .max(CRITERIA.length),
  falseAlarmRate: z.number(),
  shadow: z.boolean(),
  ramp: z.array(z.strictObject({ at: time, weightBp: z.int().min(0).max(10_000) })).max(64),
  trip: TRIP_SCHEMA.nullable(),
  evidence,
})
const RECORD = exactly<VerdictRecord>({
  format: z.literal("serin/verdict/2"),
  serin: name,
  runtime: z.strictObject({ node: name, v8: name, arch: name }),
  rollout: name,
  stable: name,
  canary: name.nullable(),
  revision: z.int().min(0),
  at: time,
  generation,
  inputs,
  trip: z.unknown(),
  verdict: z.unknown(),
})

function invalid(problems: readonly Problem[], cause?: unknown): SerinError {
  const message = `The recorded verdict cannot be read\n${describeProblems(problems)}`
  return new SerinError("VERDICT_INVALID", message, { problems, cause })
}
