import type { Problem } from "../errors.js"
import { nearest } from "../model/nearest.js"
import { CRITERIA, type Criterion, type CriterionName } from "../model/verdict.js"
import { parseDuration } from "./duration.js"
import type { Gate } from "./gate.js"
import { ROLLOUT_NAME, VERSION } from "../model/names.js"
import { shorten, type Read, type YamlValue } from "./yaml-value.js"

export const readRolloutName: Read<string> = (value) =>
  readName(value, ROLLOUT_NAME, "up to 63 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit")

/** The version as it is written: YAML would read 1.10 as the number 1.1. */
export const readVersion: Read<string> = (value) =>
  readName(value, VERSION, "up to 128 of A-Z, a-z, 0-9, '.', '_', '+' and '-', beginning with a letter or digit")

function readName(value: YamlValue, pattern: RegExp, rule: string): string | undefined {
  const isText = typeof value.scalar === "string" || typeof value.scalar === "number"
  if (isText && pattern.test(value.written)) return value.written
  return value.fail(`must be ${rule}, got ${shorten(value.written)}`)
}

/** All of the sessions, basis points. */
export const FULL_BP = 10_000

/** A share in percent, as basis points. */
export function percentBp({ min }: { readonly min: 0 | 0.01 }): Read<number> {
  return (value) => {
    if (typeof value.scalar !== "number") {
      const number = Number.parseFloat(value.written)
      const fix = Number.isFinite(number) ? `write ${number}` : "write 5 for five percent"
      return value.fail(`must be a number in percent, got ${shorten(value.written)}`, fix)
    }
    const bp = Math.round(value.scalar * 100)
    if (!(value.scalar >= min && value.scalar <= 100)) {
      return value.fail(`must be from ${min} to 100 percent, got ${shorten(value.written)}`)
    }
    if (Math.abs(bp - value.scalar * 100) > 1e-6) {
      return value.fail(`must be a multiple of 0.01 percent, got ${shorten(value.written)}`, `write ${bp / 100}`)
    }
    return bp
  }
}

/** A time span in ms: whole, and more than nothing unless `zero` says that none is meant as well. */
export function readPeriod({ zero = false }: { readonly zero?: boolean } = {}): Read<number> {
  return (value) => {
    const duration = parseDuration(value.scalar)
    if (!duration.ok) return value.fail(duration.message, duration.fix)
    if (!Number.isInteger(duration.ms)) return value.fail(`must be whole milliseconds, got ${value.written}`)
    if (duration.ms === 0 && !zero) return value.fail("must be longer than 0")
    return duration.ms
  }
}

export function oneOf<const T extends string>(...options: readonly T[]): Read<T> {
  return (value) => {
    const found = options.find((option) => option === value.scalar)
    if (found !== undefined) return found
    const near = nearest(String(value.scalar), options)
    const fix = near === undefined ? undefined : `did you mean \`${near}\`?`
    return value.fail(`must be ${options.join(" or ")}, got ${shorten(value.written)}`, fix)
  }
}

export const readBoolean: Read<boolean> = (value) =>
  typeof value.scalar === "boolean" ? value.scalar : value.fail(`must be true or false, got ${shorten(value.written)}`)

/** Where recorded calls are when the gate does not say: beside the rollout's file. */
const CALLS = "calls.jsonl"
const MAX_PATH = 1024

/** `replay`, or a map that says of which calls. */
export const readGate: Read<Gate> = (value) => {
  if (value.scalar === "replay") return { replay: CALLS }
  if (value.kind !== "map") {
    return value.fail(
      `must be replay or a map of replay, got ${shorten(value.written)}`,
      `write gate: { replay: ${CALLS} }`,
    )
  }
  const replay = value.map(["replay"])?.require("replay", readPath, "write replay: and the file of recorded calls")
  return replay === undefined ? undefined : { replay }
}

const readPath: Read<string> = (value) =>
  typeof value.scalar === "string" && value.scalar !== "" && value.scalar.length <= MAX_PATH
    ? value.scalar
    : value.fail(`must be the path of a file of recorded calls, got ${shorten(value.written)}`)

export const readCount: Read<number> = (value) =>
  typeof value.scalar === "number" && Number.isSafeInteger(value.scalar) && value.scalar >= 1
    ? value.scalar
    : value.fail(`must be a whole number from 1 on, got ${shorten(value.written)}`)

export const readFalseAlarmRate: Read<number> = (value) =>
  typeof value.scalar === "number" && value.scalar > 0 && value.scalar <= 0.5
    ? value.scalar
    : value.fail(`must be above 0 and at most 0.5, got ${shorten(value.written)}`, "write 0.05 for one in twenty")

/** The acceptance criteria, in the order of the file; undefined when one is bad. `refuse` says what is wrong with enforcing one. */
export function readCriteria(
  refuse: (name: CriterionName) => Omit<Problem, "where"> | undefined,
): Read<readonly Criterion[]> {
  return (value) => {
    const map = value.map(CRITERIA)
    if (map === undefined) return undefined
    const names = CRITERIA.filter((name) => map.keys.includes(name))
    names.sort((a, b) => map.keys.indexOf(a) - map.keys.indexOf(b))
    const criteria = names.map((name) => map.get(name, (value) => readCriterion(name, value)))
    const read = criteria.filter((criterion) => criterion !== undefined)
    for (const { name, mode } of read) {
      const refused = mode === "enforce" ? refuse(name) : undefined
      if (refused !== undefined) map.fail(name, refused.message, refused.fix)
    }
    return read.length === criteria.length ? read : undefined
  }
}

function readCriterion(name: CriterionName, value: YamlValue): Criterion | undefined {
  const limit = name.includes("latency") ? readLatency : name.startsWith("newly_") ? readBudget : readRate
  if (value.kind !== "map") {
    const max = limit(value)
    return max === undefined ? undefined : { name, max, mode: "enforce" }
  }
  const map = value.map(["max", "mode"])
  const max = map?.require("max", limit, "write max: with the largest acceptable value")
  const mode = map?.get("mode", oneOf("enforce", "notify")) ?? "enforce"
  return max === undefined ? undefined : { name, max, mode }
}

const readLatency: Read<number> = (value) => {
  const duration = parseDuration(value.scalar)
  if (!duration.ok) {
    return value.fail(duration.message, typeof value.scalar === "number" ? `write "${value.scalar}ms"` : duration.fix)
  }
  return duration.ms > 0
    ? duration.ms
    : value.fail("must be longer than 0: no canary can prove that it is never slower")
}

const readRate: Read<number> = (value) =>
  value.scalar === 0
    ? value.fail(
        "must be above 0: no number of calls proves a difference of exactly 0",
        "write the smallest that matters",
      )
    : readBudget(value)

const readBudget: Read<number> = (value) => {
  const rate = value.scalar
  if (typeof rate === "number" && rate >= 0 && rate <= 1) return rate
  const percent = Number.parseFloat(value.written)
  const fix = percent > 0 && percent <= 100 ? `for ${percent} % write ${percent / 100}` : "write 0.02 for 2 %"
  return value.fail(`must be a rate from 0 to 1, got ${shorten(value.written)}`, fix)
}
