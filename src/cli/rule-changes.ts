import { conditionChange } from "../engines/condition-change.js"
import { globCovers, globsMeet } from "../engines/glob.js"
import type { Effect } from "../model/decision.js"

/** A rule as it is written. */
export interface WrittenRule {
  readonly id: string
  readonly patterns: readonly string[]
  readonly when: string | null
  readonly effect: Effect
  readonly reason: string | null
}

/**
 * What a change does to calls. `loosens`: some call may get a laxer answer, none a stricter one; `tightens` the other way round
 * (allow < escalate < deny); `none`: every call gets the same answer. Conditions that fail aside: what they did is no answer.
 */
export const DIRECTIONS = ["loosens", "tightens", "none", "unclear"] as const
export type Direction = (typeof DIRECTIONS)[number]

export interface Change {
  readonly rule: string
  readonly what: string
  readonly direction: Direction
}

const STRICTNESS: Readonly<Record<Effect, number>> = { allow: 0, escalate: 1, deny: 2 }
/** Beyond this many rules that changed place, single ones tell nobody anything. */
const MAX_MOVES = 200

/**
 * Compare ordered rules, of which the first that matches decides. Each change is judged by itself, and they hold together: where
 * all of them loosen, the release does, because one can be made after the other.
 */
export function ruleChanges(before: readonly WrittenRule[], after: readonly WrittenRule[]): Change[] {
  const old = new Map(before.map((rule) => [rule.id, rule]))
  const kept = new Set(after.map(({ id }) => id))
  const changes: Change[] = []
  for (const rule of before) {
    if (!kept.has(rule.id)) changes.push({ rule: rule.id, what: `removed: ${inWords(rule)}`, direction: ifFewer(rule) })
  }
  for (const rule of after) {
    const was = old.get(rule.id)
    if (was === undefined) changes.push({ rule: rule.id, what: `added: ${inWords(rule)}`, direction: ifMore(rule) })
    else changes.push(...ruleChange(was, rule))
  }
  return [...changes, ...moves(before, after)]
}

/** Put directions together: what they are when all of them happen. */
export function together(directions: readonly Direction[]): Direction {
  const told = new Set(directions.filter((one) => one !== "none"))
  if (told.size > 1) return "unclear"
  return [...told][0] ?? "none"
}

/** What it does that a rule decides more calls. Nothing is stricter than deny, nothing laxer than allow; between them, both may be. */
function ifMore({ effect }: WrittenRule): Direction {
  return effect === "deny" ? "tightens" : effect === "allow" ? "loosens" : "unclear"
}

const OPPOSITE = { loosens: "tightens", tightens: "loosens", none: "none", unclear: "unclear" } as const
const ifFewer = (rule: WrittenRule): Direction => OPPOSITE[ifMore(rule)]

function ruleChange(was: WrittenRule, is: WrittenRule): Change[] {
  const parts: string[] = []
  const directions: Direction[] = []
  if (was.effect !== is.effect) {
    parts.push(`effect ${was.effect} → ${is.effect}`)
    directions.push(STRICTNESS[is.effect] > STRICTNESS[was.effect] ? "tightens" : "loosens")
  }
  const actions = matchesMore(covers(is.patterns, was.patterns), covers(was.patterns, is.patterns))
  if (!sameTexts(was.patterns, is.patterns)) parts.push(`action ${was.patterns.join(", ")} → ${is.patterns.join(", ")}`)
  const calls = conditionChange(was.when, is.when)
  if (was.when !== is.when) parts.push(`when ${was.when ?? "always"} → ${is.when ?? "always"}`)
  for (const match of [actions, calls]) {
    if (match === "more") directions.push(ifMore(is))
    if (match === "fewer") directions.push(ifFewer(is))
    if (match === "unknown") directions.push("unclear")
  }
  if (was.reason !== is.reason) parts.push("reason")
  return parts.length === 0 ? [] : [{ rule: is.id, what: parts.join("; "), direction: together(directions) }]
}

function matchesMore(coversOld: boolean, coversNew: boolean): "same" | "more" | "fewer" | "unknown" {
  if (coversOld) return coversNew ? "same" : "more"
  return coversNew ? "fewer" : "unknown"
}

const canMeet = (some: readonly string[], others: readonly string[]): boolean =>
  some.some((one) => others.some((other) => globsMeet(one, other)))

const covers = (wide: readonly string[], narrow: readonly string[]): boolean =>
  narrow.every((one) => wide.some((pattern) => globCovers(pattern, one)))

const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((x, i) => x === b[i])

/** Rules that are in both, and no longer in the same order. */
function moves(before: readonly WrittenRule[], after: readonly WrittenRule[]): Change[] {
  const newIndex = new Map(after.map(({ id }, i) => [id, i]))
  const common = before.filter(({ id }) => newIndex.has(id))
  const places = common.map(({ id }) => newIndex.get(id) ?? 0)
  const stayed = longestIncreasing(places)
  const moved = common.map((_, i) => i).filter((i) => !stayed.has(i))
  if (moved.length > MAX_MOVES) {
    return [{ rule: "", what: `${moved.length} rules changed their order`, direction: "unclear" }]
  }
  return moved.flatMap((i) => {
    const rule = common[i]
    const now = rule && after[newIndex.get(rule.id) ?? 0]
    if (rule === undefined || now === undefined) return []
    const place = places[i] ?? 0
    // Rules that it overtook, or that overtook it. With equal effects it matters to nobody which of them answers.
    const overtook = common.filter((_, j) => j < i && (places[j] ?? 0) > place)
    const overtaken = common.filter((_, j) => j > i && (places[j] ?? 0) < place)
    const isAffected = ({ id }: WrittenRule): boolean => {
      const other = after[newIndex.get(id) ?? 0]
      return other !== undefined && other.effect !== now.effect && canMeet(other.patterns, now.patterns)
    }
    const ups = overtook.some(isAffected) ? [ifMore(now)] : []
    const downs = overtaken.some(isAffected) ? [ifFewer(now)] : []
    const past = [overtook[0], overtaken.at(-1)].find((one) => one !== undefined)
    const what = `moved ${overtook.length > 0 ? "before" : "behind"} ${past?.id ?? ""}`
    return [{ rule: rule.id, what, direction: together([...ups, ...downs]) }]
  })
}

/** Indexes of a longest increasing run of numbers, which may skip some. Patience sorting, n log n. */
function longestIncreasing(numbers: readonly number[]): ReadonlySet<number> {
  const tails: number[] = []
  const previous: number[] = []
  for (const [i, number] of numbers.entries()) {
    let low = 0
    let high = tails.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((numbers[tails[middle] ?? 0] ?? 0) < number) low = middle + 1
      else high = middle
    }
    previous.push(low > 0 ? (tails[low - 1] ?? -1) : -1)
    tails[low] = i
  }
  const found = new Set<number>()
  for (let at = tails.at(-1) ?? -1; at >= 0; at = previous[at] ?? -1) found.add(at)
  return found
}

function inWords({ effect, patterns, when }: WrittenRule): string {
  return `${effect} ${patterns.join(", ")}${when === null ? "" : ` when ${when}`}`
}
