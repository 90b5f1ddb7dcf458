import { discover, type Candidate } from "../analysis/discoveries.js"
import { changeOf, groupId, type Change, type Group } from "./group.js"

/** Share of the sessions in which a disagreement is no news. Fixed: one that is chosen after a look proves nothing. */
export const TOLERATED = 0.001
/** Share of the groups that are found of which it is expected to be wrong, at the most. */
export const FALSE_DISCOVERY_RATE = 0.05

/** A group as it was counted. */
export interface CountedGroup extends Group {
  /** All of them. */
  readonly calls: number
  /** Sessions among those that inference may use. Null: whoever counted does not say. */
  readonly sessions: number | null
  /** What may be inferred from; null: nothing. */
  readonly candidate: Candidate | null
}

/** What is known of how often a group happens. The unit is the session: the calls of one are not independent. */
export interface GroupEvidence {
  /** Sessions with such a call, of those that came after the group was first seen: what names a group is no evidence of how often it happens. */
  readonly events: number
  readonly trials: number
  /** ln of the e-value against "in at most `tolerated` of the sessions". */
  readonly logE: number
  /** The same with the group's share of the error: what groups are ranked by. */
  readonly weighed: number
  /** Whether it happens in more than that, with the correction for all groups that were looked at. */
  readonly found: boolean
  /** Lower bound of the share of sessions, corrected alike; holds at every look. */
  readonly lower: number
}

export interface RankedGroup extends Group {
  readonly id: string
  readonly change: Change
  readonly calls: number
  readonly sessions: number | null
  readonly evidence: GroupEvidence | null
}

export interface Ranking {
  readonly unit: "session"
  readonly tolerated: number
  readonly falseDiscoveryRate: number
  /** Most evidence first, then the most calls. */
  readonly groups: readonly RankedGroup[]
}

/** Rank groups by the evidence that they happen in more than one of a thousand sessions. */
export function rankGroups(groups: readonly CountedGroup[]): Ranking {
  const told = groups.filter(({ candidate }) => candidate !== null)
  const candidates = told.map(({ candidate }) => candidate!)
  const found = discover(candidates, { tolerated: TOLERATED, alpha: FALSE_DISCOVERY_RATE })
  const evidence = new Map(told.map((group, i) => [group, { ...candidates[i]!, ...found[i]! }]))
  return {
    unit: "session",
    tolerated: TOLERATED,
    falseDiscoveryRate: FALSE_DISCOVERY_RATE,
    groups: groups
      .map((group) => ranked(group, evidence.get(group)))
      .toSorted((a, b) => weightOf(b) - weightOf(a) || b.calls - a.calls),
  }
}

function ranked(group: CountedGroup, seen: (GroupEvidence & Candidate) | undefined): RankedGroup {
  const { tool, stable, canary, calls, sessions } = group
  const named = { tool, stable, canary }
  if (seen === undefined)
    return { id: groupId(named), change: changeOf(named), ...named, calls, sessions, evidence: null }
  const { weight: _, ...evidence } = seen
  return { id: groupId(named), change: changeOf(named), ...named, calls, sessions, evidence }
}

/** −∞ − −∞ is no number. */
const weightOf = ({ evidence }: RankedGroup): number => evidence?.weighed ?? -Number.MAX_VALUE
