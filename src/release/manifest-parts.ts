import type { ParsedNode } from "yaml"
import { clip } from "./problems.js"
import type { Fields, SourceDocument } from "./document.js"
import { DIRECTIONS } from "./ports.js"
import type { Direction } from "./ports.js"

/** Code of a release: a module, and the function in it that makes the part. */
export interface ModulePart {
  readonly module: string
  readonly exported: string
}

/** A pack of patterns. */
export interface PatternsPart {
  readonly name: string
  readonly patterns: string
}

/** A scanner that is code; what the guard must know of it before it runs is here. */
export interface ScannerModulePart extends ModulePart {
  readonly name: string
  readonly directions: readonly Direction[] | undefined
  readonly timeoutMs: number | undefined
  readonly stateful: boolean
}

export type ScannerPart = PatternsPart | ScannerModulePart
export type MonitorPart = { readonly thresholds: string } | ModulePart

/** What reads a path of the manifest. */
export type ReadPath = (node: ParsedNode, what: string) => string | null

const MAX_SCANNERS = 20
/** It is a metric label. */
const NAME = /^[\w.:/-]{1,64}$/
const EXPORT = /^[A-Za-z_$][\w$]{0,63}$/
const MAX_TIMEOUT_MS = 60_000

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
  const parts = nodes.map((one) => readScannerPart(document, one, names, readPath))
  return parts.every((part) => part !== null) ? parts : null
}

const SCANNER_KEYS = ["name", "patterns", "module", "export", "directions", "timeout_ms", "stateful"] as const

function readScannerPart(
  document: SourceDocument,
  node: ParsedNode,
  names: Set<string>,
  readPath: ReadPath,
): ScannerPart | null {
  const fields = document.fields(node, "the scanner", SCANNER_KEYS)
  if (fields === null) return null
  const nameNode = document.need(fields, "name", "the scanner", "name it: findings and metrics carry the name")
  const name = nameNode && document.text(nameNode, "`name`")
  if (nameNode === null || name === null) return null
  if (!NAME.test(name)) {
    document.refuse(nameNode, "`name` has other characters or is too long", "use up to 64 letters, digits, . _ : / -")
  }
  if (names.has(name)) document.refuse(nameNode, `the scanner \`${clip(name)}\` is there twice`, "rename one")
  names.add(name)
  const what = `scanner \`${clip(name)}\``
  if (fields.get("patterns") === undefined && fields.get("module") !== undefined) {
    const code = readModule(document, fields, what, "scanner", readPath)
    const directions = readDirections(document, fields.get("directions"), what)
    const timeoutMs = readTimeout(document, fields.get("timeout_ms"), what)
    const stateful = readStateful(document, fields.get("stateful"), what)
    return code && { ...code, name, directions, timeoutMs, stateful }
  }
  for (const key of SCANNER_KEYS.slice(2)) {
    const extra = fields.get(key)
    if (extra !== undefined) document.refuse(extra, `${what} has \`${key}\`, which is for modules`, "take it out")
  }
  const file = document.need(fields, "patterns", what, "name its `patterns: pii.yaml`, or its `module: pii.js`")
  const patterns = file && readPath(file, `${what}: \`patterns\``)
  return patterns === null ? null : { name, patterns }
}

/** Read the monitor; undefined: the release has none; null: it cannot be read. */
export function readMonitorPart(
  document: SourceDocument,
  node: ParsedNode | undefined,
  readPath: ReadPath,
): MonitorPart | undefined | null {
  if (node === undefined) return undefined
  const fields = document.fields(node, "`monitor`", ["thresholds", "module", "export"])
  if (fields === null) return null
  if (fields.get("module") !== undefined) {
    const extra = fields.get("thresholds")
    if (extra !== undefined) document.refuse(extra, "`monitor` has `thresholds` and a `module`", "keep one")
    return readModule(document, fields, "`monitor`", "monitor", readPath)
  }
  const file = document.need(
    fields,
    "thresholds",
    "`monitor`",
    "write `thresholds: limits.yaml`, or `module: monitor.js`",
  )
  const thresholds = file && readPath(file, "`monitor`: `thresholds`")
  return thresholds === null ? null : { thresholds }
}

/** Read which module makes a part. `byDefault`: the function that it exports, unless `export` says otherwise. */
export function readModule(
  document: SourceDocument,
  fields: Fields<"module" | "export">,
  what: string,
  byDefault: string,
  readPath: ReadPath,
): ModulePart | null {
  const file = document.need(fields, "module", what, "name the module, such as `module: scan.js`")
  const module = file && readPath(file, `${what}: \`module\``)
  if (file !== null && module !== null && !/\.m?js$/.test(module)) {
    document.refuse(file, `${what}: \`module\` must be a .js or .mjs file, got ${clip(module)}`, "compile it first")
  }
  const node = fields.get("export")
  const exported = node === undefined ? byDefault : document.text(node, `${what}: \`export\``)
  if (node !== undefined && exported !== null && !EXPORT.test(exported)) {
    document.refuse(node, `${what}: \`export\` is no name: ${clip(exported)}`)
  }
  return module === null || exported === null ? null : { module, exported }
}

function readDirections(document: SourceDocument, node: ParsedNode | undefined, what: string): Direction[] | undefined {
  const texts = node && document.texts(node, `${what}: \`directions\``)
  if (node === undefined || texts === undefined || texts === null) return undefined
  const known = texts.flatMap((text) => DIRECTIONS.find((one) => one === text) ?? [])
  if (known.length < texts.length) document.refuse(node, `${what}: \`directions\` are \`input\` and \`output\``)
  return known
}

function readTimeout(document: SourceDocument, node: ParsedNode | undefined, what: string): number | undefined {
  const value = node && document.number(node, `${what}: \`timeout_ms\``)
  if (node === undefined || value === undefined || value === null) return undefined
  if (!(value >= 1 && value <= MAX_TIMEOUT_MS)) {
    document.refuse(node, `${what}: \`timeout_ms\` must be from 1 to ${MAX_TIMEOUT_MS}, got ${value}`)
  }
  return value
}

function readStateful(document: SourceDocument, node: ParsedNode | undefined, what: string): boolean {
  return node === undefined ? false : (document.boolean(node, `${what}: \`stateful\``) ?? false)
}
