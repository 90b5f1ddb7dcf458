import type { ParsedNode } from "yaml"
import { SERIN_VERSION } from "../model/version.js"
import { clip } from "./problems.js"
import type { SourceDocument } from "./document.js"

/** Where a release comes from, as whoever packed it says: for people, and believed as far as the signatures are. */
export interface Provenance {
  /** Where its sources are: a repository's address. */
  readonly source?: string | undefined
  readonly commit?: string | undefined
  /** ISO 8601. */
  readonly builtAt?: string | undefined
  readonly by?: string | undefined
}

const REQUIREMENT = /^>= ?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?$/
const DIGEST = /^sha256:[0-9a-f]{64}$/
const TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/
const PROVENANCE_KEYS = ["source", "commit", "built_at", "by"] as const
const MAX_TEXT = 512

/** Check the least version of serin that a release was written for. */
export function readRequirement(document: SourceDocument, node: ParsedNode | undefined): void {
  const text = node && document.text(node, "`serin`")
  if (node === undefined || text === undefined || text === null) return
  const [, ...wanted] = REQUIREMENT.exec(text) ?? []
  if (wanted.length === 0) {
    document.refuse(
      node,
      `\`serin\` is ${JSON.stringify(clip(text))}, which is no least version`,
      'write `serin: ">=0.1"`',
    )
  } else if (isOlder(SERIN_VERSION.split(".").map(Number), wanted.map(Number))) {
    document.refuse(node, `the release needs serin ${text}, and this is ${SERIN_VERSION}`, "upgrade serin first")
  }
}

function isOlder(own: readonly number[], wanted: readonly number[]): boolean {
  for (const [i, number] of wanted.entries()) {
    const mine = own[i] ?? 0
    if (!Number.isNaN(number) && mine !== number) return mine < number
  }
  return false
}

/** Read the digest of each file; null: none are written. */
export function readDigests(
  document: SourceDocument,
  node: ParsedNode | undefined,
  files: readonly string[],
): ReadonlyMap<string, string> | null {
  const fields = node && document.fields(node, "`digests`", files)
  if (fields === undefined || fields === null) return null
  const digests = new Map<string, string>()
  for (const file of files) {
    const value = document.need(fields, file, "`digests`", "every file of the release needs its digest")
    const digest = value && document.text(value, `the digest of ${clip(file)}`)
    if (value === null || digest === null) continue
    if (DIGEST.test(digest)) digests.set(file, digest)
    else document.refuse(value, `the digest of ${clip(file)} is none`, "write sha256: and 64 digits of sha256sum")
  }
  return digests
}

/** Read where the release comes from; null: it does not say. */
export function readProvenance(document: SourceDocument, node: ParsedNode | undefined): Provenance | null {
  const fields = node && document.fields(node, "`provenance`", PROVENANCE_KEYS)
  if (fields === undefined || fields === null) return null
  const read = (key: (typeof PROVENANCE_KEYS)[number]): string | undefined => {
    const value = fields.get(key)
    const text = value && document.text(value, `\`${key}\``)
    if (value === undefined || text === undefined || text === null) return undefined
    if (text.length > MAX_TEXT) document.refuse(value, `\`${key}\` is longer than ${MAX_TEXT} characters`)
    if (key === "built_at" && !TIME.test(text))
      document.refuse(value, "`built_at` is no time", "write it as 2026-01-31T12:00:00Z")
    return text
  }
  return { source: read("source"), commit: read("commit"), builtAt: read("built_at"), by: read("by") }
}
