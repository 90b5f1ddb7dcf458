import type { Audit } from "./audit.js"
import { headOf } from "./audit/head.js"

/** An audit for machines. */
export function auditDocument(rollout: string, found: Audit): object {
  const { result, links, chain, records, held, unproven, findings } = found
  const newest = links[0]
  return {
    rollout,
    result,
    head: newest === undefined ? null : headOf(newest),
    newest: newest?.revision ?? null,
    /** Oldest revision that the newest one vouches for, and why none before it. */
    from: newest === undefined ? null : chain.from,
    begins: newest === undefined ? null : chain.begins,
    revisions: links.length,
    newestBy: found.newestBy,
    unsigned: links.filter(({ signed }) => signed === "no" || signed === "untrusted").map(({ revision }) => revision),
    overwritten: chain.overwritten,
    headsHeld: held.length,
    unproven,
    records: records && { matched: records.matched, gone: records.gone },
    findings,
  }
}
