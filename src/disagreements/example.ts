import type { DecisionEntry, DecisionLogEntry, PairEntry } from "../model/decision-entry.js"
import { actionOf } from "../model/call.js"
import { cut } from "../model/cut.js"
import { changeOf, groupId, type Change, type Group } from "./group.js"

/** One call on which the releases disagreed, as far as the decision log may tell. */
export interface Example extends Group {
  /** Of the decision in the log: by it the call is replayed and labelled. */
  readonly id: string
  /** Of the group. */
  readonly group: string
  readonly change: Change
  readonly session: string
  /** Ms since the epoch. */
  readonly at: number
  /** As JSON, cut; null: the log does not hold it. */
  readonly input: string | null
  /** Whether a redaction made the entry what it is. */
  readonly redacted: boolean
  /** Why, in the words of each release. */
  readonly reasons: { readonly stable: string | null; readonly canary: string | null }
}

/** A decision, and what both releases made of its call. */
export interface JudgedCall {
  readonly decision: DecisionEntry
  readonly pair: PairEntry
}

/** Longest text of a log that is shown, characters: an example is for people. */
const MAX_INPUT = 300
const MAX_WORDS = 200
/** Decisions that wait for their pair: it follows as soon as the other arm has judged. */
const MOST_WAITING = 4096

/**
 * Pair the decisions of a log with what both releases made of them, as they come. `rest` is told of pairs whose decision is not there:
 * it was left out, or was rotated away.
 */
export async function* judgedCalls(
  entries: AsyncIterable<DecisionLogEntry> | Iterable<DecisionLogEntry>,
  rest: () => void = () => {},
): AsyncGenerator<JudgedCall, void, void> {
  const waiting = new Map<string, DecisionEntry>()
  for await (const entry of entries) {
    if (entry.kind === "decision") {
      waiting.set(entry.id, entry)
      const [oldest] = waiting.keys()
      if (waiting.size > MOST_WAITING && oldest !== undefined) waiting.delete(oldest)
    } else if (entry.kind === "pair") {
      const decision = waiting.get(entry.of)
      waiting.delete(entry.of)
      if (decision === undefined) rest()
      else yield { decision, pair: entry }
    }
  }
}

/** The group of a call; null: the releases agreed, or it belongs to no session. */
export function groupOf({ decision, pair }: JudgedCall): (Group & { readonly id: string }) | null {
  const { stable, canary } = pair
  if (stable.outcome === canary.outcome || pair.sessionId === null) return null
  const group: Group = {
    tool: actionOf(decision.call),
    stable: { outcome: stable.outcome, rule: stable.rule },
    canary: { outcome: canary.outcome, rule: canary.rule },
  }
  return { id: groupId(group), ...group }
}

/** Show a call. */
export function exampleOf({ decision, pair }: JudgedCall, { id: group, ...named }: Group & { id: string }): Example {
  const { input } = Object(decision.call) as { readonly input?: unknown }
  return {
    id: decision.id,
    group,
    change: changeOf(named),
    ...named,
    session: pair.sessionId ?? "",
    at: decision.at,
    input: input === undefined ? null : cut(JSON.stringify(input) ?? "", MAX_INPUT),
    redacted: decision.redacted === true,
    reasons: { stable: wordsOf(pair.stable.reason), canary: wordsOf(pair.canary.reason) },
  }
}

const wordsOf = (reason: string | undefined): string | null => (reason === undefined ? null : cut(reason, MAX_WORDS))
