import type { Finding, Link, Said } from "./chain.js"

/** A recorded verdict that is kept. */
export interface KeptRecord {
  /** Of its own document. */
  readonly revision: number
  readonly hash: string
  /** When the verdict was made, ms since the epoch; null where it cannot be read. */
  readonly at: number | null
}

/** What became of the recorded verdicts that revisions name. */
export interface RecordCheck {
  readonly findings: readonly Finding[]
  /** Revisions whose record is there, word for word. */
  readonly matched: number
  /** Revisions whose record is no longer kept: newer ones have taken its place, or `serin sign` took it away. */
  readonly gone: number
}

/**
 * Compare what revisions name with the records that are kept, newest first. As many as `keep` are, so one that is older than all of them
 * may be gone.
 */
export function checkRecords(links: readonly Link[], records: readonly KeptRecord[], keep: number): RecordCheck {
  const findings: Finding[] = []
  const hashes = new Set(records.map(({ hash }) => hash))
  const oldest = records.at(-1)
  const isPruned = records.length >= keep && oldest !== undefined && oldest.revision > 1
  const oldestAt = records.findLast(({ at }) => at !== null)?.at ?? null
  let matched = 0
  let gone = 0
  /** Newer than the revision in hand: it took away what nobody trusted. */
  let isSigned = false
  for (const { revision, says } of links) {
    if (typeof says === "string") continue
    const name = says.record
    if (name !== undefined) {
      const other = records.find(({ at, hash }) => at === says.at && hash !== name)
      if (hashes.has(name)) matched++
      else if (other !== undefined) findings.push(changed(revision, name, other))
      else if (isSigned || (isPruned && oldestAt !== null && says.at < oldestAt)) gone++
      else findings.push(missing(revision, name))
    }
    isSigned ||= isSign(says)
  }
  return { findings, matched, gone }
}

const isSign = ({ event }: Said): boolean => event === "sign"

const changed = (revision: number, name: string, other: KeptRecord): Finding => ({
  code: "record_changed",
  revision,
  message: `was moved by the recorded verdict ${name}; the one of that time is ${other.hash}: it was changed`,
})

const missing = (revision: number, name: string): Finding => ({
  code: "record_missing",
  revision,
  message: `was moved by the recorded verdict ${name}, which is not there: it was removed, or never written`,
})
