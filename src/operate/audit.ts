import { isSerinError } from "../errors.js"
import { parseState } from "../rollout/state.js"
import type { StateStore, StoreOptions, Witnessed } from "../rollout/store.js"
import type { Trust } from "../signing/trust.js"
import { witnessedHistory } from "../stores/witnessed.js"
import { checkChain, type Chain, type Finding, type Link, type Said } from "./audit/chain.js"
import { checkHead, type Head } from "./audit/head.js"
import { checkRecords, type KeptRecord, type RecordCheck } from "./audit/records.js"
import { stateKey, verdictKey } from "../controller/keys.js"
import { messageOf } from "../controller/message.js"
import { KEPT_RECORDS } from "../controller/records.js"
import { hashOf } from "../controller/write-state.js"

export interface AuditOptions {
  readonly rollout: string
  /** Revisions of the state, newest first, also those that nobody trusted signed. */
  readonly state: AsyncIterable<Witnessed>
  /** Recorded verdicts, newest first; null: not all that are kept can be seen. */
  readonly records: AsyncIterable<Witnessed> | null
  /** Whether keys are known, so that the newest revision must be signed by them. */
  readonly trusts: boolean
  /** Heads that were noted elsewhere. */
  readonly heads: readonly Head[]
}

/** What an audit of a history says. */
export interface Audit {
  /** `unproven`: nothing is wrong, and a noted head could not be compared. */
  readonly result: "whole" | "broken" | "unproven"
  /** The newest first. */
  readonly links: readonly Link[]
  readonly chain: Chain
  /** Null: they were not looked at. */
  readonly records: RecordCheck | null
  /** Noted heads that are still there. */
  readonly held: readonly Head[]
  /** What shows that the newest revision is what was written, over which nothing was written yet. */
  readonly newestBy: "signature" | "noted head" | null
  /** Why others could not be compared. */
  readonly unproven: readonly string[]
  readonly findings: readonly Finding[]
}

/** A store to audit. */
export interface Audited {
  /** As it is, whoever wrote there. */
  readonly raw: Pick<StateStore, "history" | "caps">
  /** The keys that must have signed; null: none are named. */
  readonly trust: Trust | null
  /** Whether it gives no more than the newest revision of each document. */
  readonly readOnly: boolean
}

/** Audit the history of a rollout in a store. Heads are those that were noted elsewhere. */
export function auditHistory(
  { raw, trust, readOnly }: Audited,
  rollout: string,
  heads: readonly Head[],
  options: StoreOptions,
): Promise<Audit> {
  return audit({
    rollout,
    state: witnessedHistory(raw, stateKey(rollout), trust, options),
    records: readOnly ? null : witnessedHistory(raw, verdictKey(rollout), trust, options),
    trusts: trust !== null,
    heads,
  })
}

/**
 * Find out whether a history is what was written: each revision is compared with what the next was written over, recorded verdicts with
 * the revisions that name them, and all with heads that were noted elsewhere. Rejects with what the stores throw before the first revision.
 */
export async function audit(options: AuditOptions): Promise<Audit> {
  const { rollout, trusts, heads } = options
  const { links, broke } = await linksOf(options.state)
  const chain = checkChain(rollout, links)
  const newest = links[0]
  const compared = heads.map((head) => checkHead(head, links, chain))
  // After the state: what the newest revision names is there, then.
  const records = options.records === null ? null : checkRecords(links, await recordsOf(options.records), KEPT_RECORDS)
  const findings = [
    ...(trusts && newest !== undefined && newest.signed !== "trusted" ? [untrusted(newest)] : []),
    ...chain.findings,
    ...(broke === null ? [] : [broke]),
    ...compared.filter((one) => typeof one !== "string"),
    ...(records?.findings ?? []),
  ]
  const held = heads.filter((_, i) => compared[i] === "held")
  const unproven = compared.filter((one) => typeof one === "string" && one !== "held") as string[]
  return {
    result: findings.length > 0 ? "broken" : unproven.length > 0 ? "unproven" : "whole",
    links,
    chain,
    records,
    held,
    newestBy:
      newest?.signed === "trusted" ? "signature" : held.some(({ hash }) => hash === newest?.hash) ? "noted head" : null,
    unproven,
    findings,
  }
}

/** A store that cannot read a revision gives none of those below it: what is wrong there is a finding like any other. */
async function linksOf(state: AsyncIterable<Witnessed>): Promise<{ links: readonly Link[]; broke: Finding | null }> {
  const links: Link[] = []
  try {
    for await (const { revision, content, signed } of state) {
      links.push({ revision, hash: hashOf(content), signed, says: saidBy(content) })
    }
  } catch (error) {
    const last = links.at(-1)
    if (last === undefined || !isSerinError(error)) throw error
    const message = `and those before it cannot be read by the store: ${messageOf(error)}`
    return { links, broke: { code: "unreadable", revision: last.revision - 1, message } }
  }
  return { links, broke: null }
}

function saidBy(content: string | Uint8Array): Said | string {
  if (typeof content !== "string") return "it is no text"
  try {
    const { rollout, revision, last } = parseState(content)
    const { event, record, previous, base, verdict } = last
    return { rollout, revision, event, record, previous, base, at: verdict?.at ?? last.at }
  } catch (error) {
    if (!isSerinError(error)) throw error
    const [first] = error.problems
    return first === undefined ? error.message : `${first.where} ${first.message}`
  }
}

async function recordsOf(records: AsyncIterable<Witnessed>): Promise<readonly KeptRecord[]> {
  const kept: KeptRecord[] = []
  for await (const { revision, content } of records) {
    kept.push({ revision, hash: hashOf(content), at: typeof content === "string" ? judgedAt(content) : null })
  }
  return kept
}

/** One number is all that is wanted of it: its hash says the rest. */
function judgedAt(content: string): number | null {
  try {
    const at = (JSON.parse(content) as { readonly at?: unknown } | null)?.at
    return typeof at === "number" ? at : null
  } catch {
    return null
  }
}

const untrusted = ({ revision, signed }: Link): Finding => ({
  code: "untrusted",
  revision,
  message: `is the newest, and ${signed === "no" ? "is not signed" : "no trusted key signed it"}: anybody may have written it`,
})
