import type { Chain, Finding, Link } from "./chain.js"

/** A revision that was noted somewhere else while it was the newest. */
export interface Head {
  /** Undefined: its hash alone was noted. */
  readonly revision?: number | undefined
  /** `sha256:…` */
  readonly hash: string
}

/** `held`: what was noted is still there, and what is newer was written over it. A text says why that cannot be told. */
export type HeadCheck = "held" | Finding | string

const HEAD = /(?:(\d{1,10}):)?(sha256:[0-9a-f]{64})(?![0-9a-f])/

/** Write a head as people note it: `42:sha256:…`. */
export const headOf = ({ revision, hash }: Link): string => `${revision}:${hash}`

/** Read a head that is alone in a text; null: it is none. */
export function parseHead(text: string): Head | null {
  const [whole, revision, hash] = HEAD.exec(text) ?? []
  if (hash === undefined || whole !== text) return null
  return { revision: revision === undefined ? undefined : Number(revision), hash }
}

/** Heads that stand in a text, whatever is around them; only those with their revision, for other hashes are written as well. */
export function headsIn(text: string): readonly Head[] {
  const found = text.matchAll(new RegExp(HEAD, "g"))
  return [...found].flatMap(([, revision, hash = ""]) =>
    revision === undefined ? [] : [{ revision: Number(revision), hash }],
  )
}

/** Compare a history with a head that was noted. */
export function checkHead({ revision, hash }: Head, links: readonly Link[], chain: Chain): HeadCheck {
  const newest = links[0]
  const oldest = links.at(-1)
  const noted = revision === undefined ? `the noted head ${hash}` : `the noted head, revision ${revision},`
  if (newest === undefined || oldest === undefined) {
    return { code: "head_removed", revision: revision ?? 0, message: `${noted} is gone with the whole history` }
  }
  const there = links.find((link) => (revision === undefined ? link.hash === hash : link.revision === revision))
  if (there !== undefined && there.hash === hash) {
    return there.revision >= chain.from ? "held" : `${noted} is there, and nothing that is newer vouches for it`
  }
  if (there !== undefined) {
    const message = `was changed after it was noted: it was ${hash}, and is ${there.hash}`
    return { code: "head_changed", revision: there.revision, message }
  }
  // The oldest that is kept names the one before it, which is not.
  const before = typeof oldest.says === "string" ? undefined : oldest.says.previous
  if (before === hash && (revision ?? oldest.revision - 1) === oldest.revision - 1) {
    return chain.from === oldest.revision ? "held" : `${noted} is named, and nothing newer vouches for what names it`
  }
  if (revision === undefined && oldest.revision > 1) {
    return `${noted} is not in this history: it is older than revision ${oldest.revision}, or was cut off or changed`
  }
  if (revision !== undefined && revision < oldest.revision - 1) {
    return `${noted} is older than all that is kept, from revision ${oldest.revision} on: note a newer one more often`
  }
  if (revision !== undefined && revision < oldest.revision) {
    return { code: "head_changed", revision, message: `was noted as ${hash}, and the next was written over ${before}` }
  }
  const end = `the newest that is there is revision ${newest.revision}`
  const message = revision === undefined ? `${noted} is not in this history; ${end}` : `was noted, and is gone; ${end}`
  return { code: "head_removed", revision: revision ?? newest.revision, message }
}
