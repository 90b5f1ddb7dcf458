import type { ParsedNode } from "yaml"
import { clip } from "./document.js"
import type { SourceDocument } from "./document.js"

/** A scanner of a release directory: a pack of patterns. */
export interface ScannerPart {
  readonly name: string
  readonly patterns: string
}

/** The monitor of a release directory: thresholds. */
export interface MonitorPart {
  readonly thresholds: string
}

/** What reads a path of the manifest. */
export type ReadPath = (node: ParsedNode, what: string) => string | null

const MAX_SCANNERS = 20
/** It is a metric label. */
const NAME = /^[\w.:/-]{1,64}$/

/** Read the scanners; null when one of them cannot be. */
export function readScannerParts(
  document: SourceDocument,
  node: ParsedNode | undefined,
  readPath: ReadPath,
): readonly ScannerPart[] | null {
  if (node === undefined) return []
  const nodes = document.items(node, "`scanners`")
  if (nodes === null) return null
  if (nodes.length === 0) document.refuse(node, "there is no scanner in `scanners`", "leave the key out")
  if (nodes.length > MAX_SCANNERS) {
    document.refuse(node, `\`scanners\` lists more than ${MAX_SCANNERS}`, "join some")
    return null
  }
  const names = new Set<string>()
  const parts = nodes.map((one): ScannerPart | null => {
    const fields = document.fields(one, "the scanner", ["name", "patterns"])
    if (fields === null) return null
    const nameNode = document.need(fields, "name", "the scanner", "name it: findings and metrics carry the name")
    const name = nameNode && document.text(nameNode, "`name`")
    if (nameNode !== null && name !== null && !NAME.test(name)) {
      document.refuse(nameNode, "`name` has other characters or is too long", "use up to 64 letters, digits, . _ : / -")
    }
    if (nameNode !== null && name !== null && names.has(name)) {
      document.refuse(nameNode, `the scanner \`${clip(name)}\` is there twice`, "rename one")
    }
    if (name !== null) names.add(name)
    const what = name === null ? "the scanner" : `scanner \`${clip(name)}\``
    const packNode = document.need(fields, "patterns", what, "name its file of patterns, such as `patterns: pii.yaml`")
    const patterns = packNode && readPath(packNode, `${what}: \`patterns\``)
    return name === null || patterns === null ? null : { name, patterns }
  })
  return parts.every((part) => part !== null) ? parts : null
}

/** Read the monitor; undefined: the release has none; null: it cannot be read. */
export function readMonitorPart(
  document: SourceDocument,
  node: ParsedNode | undefined,
  readPath: ReadPath,
): MonitorPart | undefined | null {
  if (node === undefined) return undefined
  const fields = document.fields(node, "`monitor`", ["thresholds"])
  const file = fields && document.need(fields, "thresholds", "`monitor`", "write `thresholds: thresholds.yaml`")
  const thresholds = file && readPath(file, "`monitor`: `thresholds`")
  return thresholds === null ? null : { thresholds }
}
