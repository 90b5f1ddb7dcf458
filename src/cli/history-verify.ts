import { readFile, stat } from "node:fs/promises"
import { resolve } from "node:path"
import { auditHistory, type Audit } from "../operate/audit.js"
import { auditDocument } from "../operate/audit-document.js"
import { headOf, headsIn, parseHead, type Head } from "../operate/audit/head.js"
import { AUDIT } from "./audit-answer.js"
import { usage } from "./command.js"
import { EXIT } from "./exit-code.js"
import type { Io } from "./io.js"
import type { Place } from "./place.js"
import { table, type Line, type Printer } from "./printer.js"

const MAX_HEAD_BYTES = 1024 * 1024
const SHOWN_FINDINGS = 50

/** Read what `--head` says: a hash, with or without its revision, or a file in which heads were noted. Throws `USAGE`. */
export async function readHeads(given: string | undefined, { cwd }: Pick<Io, "cwd">): Promise<readonly Head[]> {
  if (given === undefined) return []
  const head = parseHead(given)
  if (head !== null) return [head]
  const path = resolve(cwd, given)
  const stats = await stat(path).catch(() => null)
  if (stats?.isFile() !== true || stats.size > MAX_HEAD_BYTES) {
    throw usage(
      `--head must be sha256:…, 42:sha256:… or a file of at most 1 MiB with such a line, got ${JSON.stringify(given)}`,
    )
  }
  const heads = headsIn(await readFile(path, "utf8"))
  if (heads.length === 0)
    throw usage(`--head ${given} has no head in it; \`serin history --verify\` prints one, 42:sha256:…`)
  return heads
}

interface Verified {
  readonly place: Place
  readonly rollout: string
  readonly heads: readonly Head[]
  readonly json: boolean
  readonly io: Io
  readonly out: Printer
}

/** Hold the history against itself and the noted heads, tell what was found, and answer the exit code. */
export async function verifyHistory({ place, rollout, heads, json, io, out }: Verified): Promise<number> {
  const found = await auditHistory(place, rollout, heads, io)
  if (json) out.json({ format: AUDIT.format, ...auditDocument(rollout, found) })
  else out.lines(auditLines(rollout, found, place))
  return exitCodeOf(found)
}

function exitCodeOf({ result, links }: Audit): number {
  if (result === "broken") return EXIT.broken
  if (links.length === 0) return EXIT.noState
  return result === "unproven" ? EXIT.failed : EXIT.ok
}

/** An audit for people. */
function auditLines(rollout: string, found: Audit, { readOnly }: Place): Line[] {
  const { result, links, chain, records, held, unproven, findings } = found
  const newest = links[0]
  if (newest === undefined && findings.length === 0) return [[`${rollout}: there is no history`]]
  const rows: Line[] = []
  if (newest !== undefined) {
    rows.push(["  chain", chainWords(found, readOnly)], ["  newest", newestWords(found)])
    const signed = signedWords(found)
    if (signed !== null) rows.push(["  signed", signed])
    if (chain.overwritten.length > 0) rows.push(["  overwritten", overwrittenWords(chain.overwritten)])
    if (records !== null) rows.push(["  verdicts", recordWords(records)])
    if (held.length > 0)
      rows.push([
        "  noted",
        `${held.length === 1 ? "the noted head is" : `${held.length} noted heads are`} still there`,
      ])
    for (const why of unproven) rows.push(["  noted", { text: why, style: "yellow" }])
    rows.push(["  head", headOf(newest)])
  }
  const shown = findings.slice(0, SHOWN_FINDINGS)
  const left = findings.length - shown.length
  return [
    headline(rollout, result, findings.length),
    ...table(shown.map(({ revision, message, code }) => [`  revision ${revision}`, code, message])),
    ...(left > 0 ? [[`  and ${left} more`]] : []),
    ...table(rows),
    ...(newest === undefined
      ? []
      : [["  next: note the head where who can write to this store cannot: `--head` compares it"]]),
  ]
}

function headline(rollout: string, result: Audit["result"], count: number): Line {
  if (result === "broken") {
    return [{ text: "BROKEN", style: "red" }, `: ${rollout}: ${count} ${count === 1 ? "thing is" : "things are"} wrong`]
  }
  if (result === "unproven")
    return [{ text: "NOT PROVEN", style: "yellow" }, `: ${rollout}: a noted head cannot be compared`]
  return [{ text: "WHOLE", style: "green" }, `: ${rollout}: each revision is what the next was written over`]
}

function chainWords({ links, chain: { from, begins } }: Audit, readOnly: boolean): string {
  const newest = links[0]?.revision ?? 0
  if (readOnly) return `revision ${newest} alone: over HTTP there is no other; name the store behind it with --state`
  const span = newest === from ? `revision ${newest}` : `revisions ${newest} to ${from}`
  switch (begins) {
    case "first":
      return `${span}: all that there ever were`
    case "pruned":
      return `${span}: older ones are not kept, and nothing shows what they were`
    case "unchained":
      return `${span}: older ones were written by a version that did not chain them, and nothing shows what they were`
    case "broken":
      return `${span}: nothing vouches for older ones`
  }
}

function newestWords({ links, newestBy }: Audit): string {
  const revision = `revision ${links[0]?.revision}`
  if (newestBy === "signature") return `${revision}: a trusted key signed it`
  if (newestBy === "noted head") return `${revision}: it is the noted head`
  return `${revision}: taken for what it is; that it was changed, that newer ones were removed, or that all were written anew, shows by a signature or a noted head alone`
}

/** Null: nobody signs here. */
function signedWords({ links }: Audit): string | null {
  const of = (...kinds: readonly string[]) =>
    links.filter(({ signed }) => kinds.includes(signed)).map((link) => link.revision)
  if (of("unchecked").length > 0) return "not checked: name the keys with --trusted-keys"
  const trusted = of("trusted")
  if (trusted.length === 0) return null
  const others = of("untrusted", "no")
  if (others.length === 0) return "all of them, by trusted keys"
  return `${trusted.length} by trusted keys; not ${listed(others)}, for which the ones above vouch`
}

const overwrittenWords = (revisions: readonly number[]): string =>
  `${listed(revisions)}: could not be read or not be trusted when the next was written, and count for nothing`

function recordWords({ matched, gone, findings }: NonNullable<Audit["records"]>): string {
  const all = matched + gone + findings.length
  if (all === 0) return "no revision names a recorded verdict"
  return `${matched} of the ${all} that revisions name ${matched === 1 ? "is" : "are"} there, word for word${gone > 0 ? `; ${gone} are no longer kept` : ""}`
}

const MOST_LISTED = 10

const listed = (revisions: readonly number[]): string =>
  revisions.length > MOST_LISTED
    ? `${revisions.slice(0, MOST_LISTED).join(", ")} and ${revisions.length - MOST_LISTED} more`
    : revisions.join(", ")
