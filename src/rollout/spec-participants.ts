import type { AttributeValue, Eligible, Pin, Pins } from "./spec.js"
import { shorten, type Read, type YamlValue } from "./yaml-value.js"

const MAX_ATTRIBUTES = 16
const MAX_VALUES = 256
const MAX_PINNED = 256
const MAX_ID = 256

/** Attributes of sessions: to each its value, or the list of values that will do. */
export const readEligible: Read<Eligible> = (value) => {
  const map = value.anyMap()
  if (map === undefined) return undefined
  if (map.keys.length === 0) return value.fail("names no attribute", "remove it: then every session takes part")
  if (map.keys.length > MAX_ATTRIBUTES) return value.fail(`must name at most ${MAX_ATTRIBUTES} attributes`)
  const entries = map.keys.flatMap((key) => {
    if (key === "__proto__") return [map.fail(key, "is no name for an attribute")]
    const values = map.get(key, readAttributeValues)
    return [values === undefined ? undefined : ([key, values] as const)]
  })
  return entries.includes(undefined) ? undefined : Object.fromEntries(entries.filter((entry) => entry !== undefined))
}

const readAttributeValues: Read<readonly AttributeValue[]> = (value) => {
  if (value.kind === "scalar") {
    const one = readAttributeValue(value)
    return one === undefined ? undefined : [one]
  }
  return readAll(value, MAX_VALUES, "values", readAttributeValue)
}

const readAttributeValue: Read<AttributeValue> = ({ scalar, written, fail }) =>
  typeof scalar === "string" || typeof scalar === "boolean" || (typeof scalar === "number" && Number.isFinite(scalar))
    ? scalar
    : fail(`must be text, a number, true or false, got ${shorten(written)}`)

/** Sessions that keep to one arm, whatever is drawn. */
export const readPins: Read<Pins> = (value) => {
  const map = value.map(["stable", "canary"])
  if (map === undefined) return undefined
  if (map.keys.length === 0) return value.fail("pins nobody", "write stable: or canary: in it, or remove it")
  const stable = map.get("stable", readPin)
  const canary = map.get("canary", readPin)
  return { ...(stable !== undefined && { stable }), ...(canary !== undefined && { canary }) }
}

/** A list has ids of sessions, a map attributes. */
const readPin: Read<Pin> = (value) => {
  if (value.kind === "scalar") {
    const fix = `write [${shorten(value.written)}], or a map of attributes as in eligible`
    return value.fail(`must be a list of session ids or a map of attributes, got ${shorten(value.written)}`, fix)
  }
  if (value.kind === "map") {
    const attributes = readEligible(value)
    return attributes === undefined ? undefined : { sessions: [], attributes }
  }
  const sessions = readAll(value, MAX_PINNED, "session ids", readId)
  return sessions === undefined ? undefined : { sessions, attributes: null }
}

/** As it is written: 0017 is not the number 17. */
const readId: Read<string> = ({ scalar, written, fail }) => {
  const id = typeof scalar === "string" ? scalar : typeof scalar === "number" ? written : ""
  if (id !== "" && id.length <= MAX_ID) return id
  return fail(`must be the id of a session, 1 to ${MAX_ID} characters, got ${shorten(written)}`)
}

function readAll<T>(value: YamlValue, max: number, noun: string, read: Read<T>): readonly T[] | undefined {
  const list = value.list()
  if (list === undefined) return undefined
  if (list.length === 0 || list.length > max) return value.fail(`must have from 1 to ${max} ${noun}`)
  const items = list.map(read)
  return items.includes(undefined) ? undefined : items.filter((item) => item !== undefined)
}
