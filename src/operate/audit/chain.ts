import type { RolloutState, Transition } from "../../rollout/state.js"
import type { Witnessed } from "../../rollout/store.js"

/** A revision that is kept, as far as its place in the history goes. */
export interface Link {
  /** The store's number for it. */
  readonly revision: number
  readonly hash: string
  readonly signed: Witnessed["signed"]
  /** What it says of itself; a text says why it cannot be read. */
  readonly says: Said | string
}

export type Said = Pick<RolloutState, "rollout" | "revision"> &
  Pick<Transition, "event" | "record" | "previous" | "base"> & {
    /** When the verdict was made that moved it, or else when it was written; ms since the epoch. */
    readonly at: number
  }

export type FindingCode =
  | "unreadable"
  | "changed"
  | "misplaced"
  | "removed"
  | "unchained"
  | "untrusted"
  | "head_changed"
  | "head_removed"
  | "record_changed"
  | "record_missing"

/** Something that is wrong with a history. Its codes are explained in docs/reference/state.md. */
export interface Finding {
  readonly code: FindingCode
  /** Of the state. */
  readonly revision: number
  readonly message: string
}

/** What the revisions say of each other. */
export interface Chain {
  readonly findings: readonly Finding[]
  /** Oldest revision that the newest vouches for, through all between. */
  readonly from: number
  /** Why it goes back no further. */
  readonly begins: "first" | "pruned" | "unchained" | "broken"
  /** Revisions that could not be read, or not be trusted, when others were written over them. They vouch for nothing. */
  readonly overwritten: readonly number[]
}

/**
 * Walk revisions, newest first, and find those that are not what the next was written over. The newest is taken for what it is: nothing
 * that follows vouches for it.
 */
export function checkChain(rollout: string, links: readonly Link[]): Chain {
  const { overwritten, findings } = overwrittenIn(rollout, links)
  const oldestChained = links.findLastIndex(({ says }) => typeof says !== "string" && says.previous !== undefined)
  /** Whether the word of a link counts: nothing says that it was changed. */
  const counts: boolean[] = []
  for (const [i, link] of links.entries()) {
    const above = links[i - 1]
    const expected = above && expectedOf(above, link)
    const isChanged = expected !== undefined && expected !== link.hash
    const wrong = wrongWith(rollout, link)
    const { revision } = link
    if (above !== undefined) findings.push(...gapBetween(above, link))
    if (isChanged && counts[i - 1] === true) {
      const isSure = above!.signed === "trusted" || vouchesFor(links[i - 2], above!)
      findings.push(wrong ?? { code: "changed", revision, message: changedWords(above!, link, isSure) })
    } else if (wrong !== null && !overwritten.has(revision)) {
      findings.push(wrong)
    } else if (i < oldestChained && !overwritten.has(revision) && isUnchained(link)) {
      const message = `does not say what it was written over, and older ones do: something else than serin wrote it`
      findings.push({ code: "unchained", revision, message })
    }
    counts.push(!isChanged && !overwritten.has(revision) && (i > 0 || !isForged(links)))
  }
  return { findings, ...reachOf(links, overwritten, oldestChained), overwritten: [...overwritten] }
}

/** Whether the newest was written by somebody who is not trusted, over what one who is trusted wrote. */
const isForged = ([newest, ...older]: readonly Link[]): boolean =>
  newest?.signed !== "trusted" && older.some(({ signed }) => signed === "trusted")

/** Hash that one revision says of the one below it; undefined: it says nothing, or speaks of another place. */
function expectedOf({ revision, says }: Link, below: Link): string | undefined {
  if (typeof says === "string" || says.revision !== revision || below.revision !== revision - 1) return undefined
  return says.previous
}

const vouchesFor = (above: Link | undefined, link: Link): boolean =>
  above !== undefined && expectedOf(above, link) === link.hash

function wrongWith(rollout: string, { revision, says }: Link): Finding | null {
  if (typeof says === "string") return { code: "unreadable", revision, message: `cannot be read: ${says}` }
  if (says.rollout !== rollout) {
    return { code: "misplaced", revision, message: `is a state of ${says.rollout}: it was put here from elsewhere` }
  }
  if (says.revision === revision) return null
  return { code: "misplaced", revision, message: `holds what was written as revision ${says.revision}` }
}

/**
 * Where a human stops a rollout whose newest revision is broken, the revision that is written names the good one that it was made from.
 * Those between count for nothing.
 */
function overwrittenIn(rollout: string, links: readonly Link[]) {
  const overwritten = new Set<number>()
  const findings: Finding[] = []
  for (const [i, { revision, says }] of links.entries()) {
    if (typeof says === "string" || overwritten.has(revision) || says.base === undefined) continue
    const below = links.slice(i + 1)
    let base = below.findIndex(({ hash }) => hash === says.base)
    if (base === -1) {
      // The next that is good was it, and was changed; where none is, it is older than all that are kept.
      base = below.findIndex((link, j) => j > 0 && wrongWith(rollout, link) === null)
      const changed = below[base]
      if (changed !== undefined) {
        const message = `was changed after it was written: revision ${revision} was made from ${says.base}, and this is ${changed.hash}`
        findings.push({ code: "changed", revision: changed.revision, message })
      }
    }
    for (const link of base === -1 ? below : below.slice(0, base)) overwritten.add(link.revision)
  }
  return { overwritten, findings }
}

const isUnchained = ({ says }: Link): boolean => typeof says !== "string" && says.previous === undefined

function gapBetween(above: Link, link: Link): readonly Finding[] {
  const missing = above.revision - link.revision - 1
  if (missing === 0) return []
  const { revision } = above
  if (missing < 0) {
    return [{ code: "misplaced", revision: link.revision, message: `is given by the store after revision ${revision}` }]
  }
  const last = revision - 1
  const words =
    missing === 1 ? "was removed" : `and ${missing - 1} before it, down to ${link.revision + 1}, were removed`
  return [{ code: "removed", revision: last, message: words }]
}

function changedWords(above: Link, { hash }: Link, isSure: boolean): string {
  const said = typeof above.says === "string" ? undefined : above.says.previous
  const was = `revision ${above.revision} was written over ${said}, and this is ${hash}`
  return isSure
    ? `was changed after it was written: ${was}`
    : `or the next one was changed after it was written: ${was}`
}

/** How far the word of the newest revision goes. */
function reachOf(
  links: readonly Link[],
  overwritten: ReadonlySet<number>,
  oldestChained: number,
): Pick<Chain, "from" | "begins"> {
  const bases = new Set<string>()
  let end = -1
  for (const [i, link] of links.entries()) {
    const above = links[i - 1]
    const isBound = above === undefined || vouchesFor(above, link) || bases.has(link.hash)
    if (!isBound && !overwritten.has(link.revision)) break
    if (isBound && typeof link.says !== "string" && link.says.base !== undefined) bases.add(link.says.base)
    end = i
  }
  const oldest = links[end]
  if (oldest === undefined) return { from: 0, begins: "first" }
  const { revision: from } = oldest
  if (end === links.length - 1) return { from, begins: from === 1 ? "first" : "pruned" }
  return { from, begins: isUnchained(oldest) && end > oldestChained ? "unchained" : "broken" }
}
