import { parseDocument } from "yaml"
import { usage } from "./command.js"
import type { Provenance } from "../release/manifest-origin.js"
import { fileDigest, MANIFEST } from "../release/tree.js"
import type { Tree } from "../release/read.js"

export interface Stamp extends Provenance {
  readonly digests: boolean
}

/** Write into a manifest where it comes from, and what its files are. Null: there is nothing to write, and it stays as it is to the byte. */
export function stampManifest(
  { manifest, files }: Tree,
  { digests, source, commit, builtAt, by }: Stamp,
): string | null {
  const given = Object.entries({ source, commit, built_at: builtAt, by }).filter(([, text]) => text !== undefined)
  if (given.length === 0 && !digests) return null
  for (const [key, text] of given) {
    if (text === "") throw usage(`serin release pack: --${FLAGS[key] ?? key} must not be empty`)
  }
  const text = files.find(({ name }) => name === MANIFEST)?.text ?? ""
  const document = parseDocument(text, { version: "1.2", schema: "core" })
  const kept = manifest.provenance ?? {}
  const before = Object.entries({ ...kept, built_at: kept.builtAt, builtAt: undefined })
  const provenance = Object.fromEntries([...before, ...given].filter(([, value]) => value !== undefined))
  if (given.length > 0) document.set("provenance", document.createNode(provenance))
  if (digests) {
    const named = files.filter(({ name }) => name !== MANIFEST)
    const written = Object.fromEntries(named.map(({ name, bytes }) => [name, fileDigest(bytes)]))
    document.set("digests", document.createNode(written))
  }
  return document.toString({ lineWidth: 0 })
}

const FLAGS: Readonly<Record<string, string>> = { built_at: "built-at", by: "built-by" }
