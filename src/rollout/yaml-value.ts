import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Node, type YAMLMap } from "yaml"
import type { Problem } from "../errors.js"
import { nearest } from "../model/nearest.js"

/** One value of a YAML file that knows its place, so that whatever is wrong with it is reported with its line. */
export interface YamlValue {
  /** Where it is in the document: `canary.stages[1]`. */
  readonly name: string
  readonly kind: "scalar" | "map" | "list"
  /** What a scalar means in YAML; undefined for maps and lists. */
  readonly scalar: unknown
  /** The text as it stands in the file. */
  readonly written: string
  /** Report a problem here. */
  fail(message: string, fix?: string): undefined
  /** Read it as a map; keys that are not among `keys` are reported. `elsewhere` says where a misplaced key belongs. */
  map(keys: readonly string[], elsewhere?: Readonly<Record<string, readonly string[]>>): YamlMap | undefined
  /** Read it as a map of whatever keys it has. */
  anyMap(): YamlMap | undefined
  list(): readonly YamlValue[] | undefined
}

export type Read<T> = (value: YamlValue) => T | undefined

export interface YamlMap {
  /** The known keys that the file names, in its order. */
  readonly keys: readonly string[]
  /** Undefined when the key is absent, or when its value was bad and has been reported. */
  get<T>(key: string, read: Read<T>): T | undefined
  /** The same, and its absence is reported. */
  require<T>(key: string, read: Read<T>, fix: string): T | undefined
  /** Report a problem at `key`, or at the map when `key` is absent. */
  fail(key: string, message: string, fix?: string): undefined
}

/** A rollout spec is a page; anything larger is a mistake or an attack. */
const MAX_CHARS = 64 * 1024
/** These errors leave the structure readable, so reading goes on and finds the rest. */
const READABLE = new Set(["DUPLICATE_KEY", "MULTIPLE_DOCS"])

/** Open a YAML file. `root` is undefined when it cannot be read at all; `problems()` lists all found so far, top down. */
export function openYaml(text: string, path: string) {
  const found: { offset: number; message: string; fix: string | undefined }[] = []
  const lines = new LineCounter()
  const file: File = { text, report: (offset, message, fix) => void found.push({ offset, message, fix }) }

  function problems(): Problem[] {
    const topDown = found.toSorted((a, b) => a.offset - b.offset)
    return topDown.map(({ offset, message, fix }) => {
      const { line, col } = lines.linePos(offset)
      const where = `${path}:${Math.max(1, line)}:${Math.max(1, col)}`
      return fix === undefined ? { where, message } : { where, message, fix }
    })
  }

  return { root: readRoot(file, lines), problems }
}

interface File {
  readonly text: string
  readonly report: (offset: number, message: string, fix?: string) => undefined
}

function readRoot(file: File, lines: LineCounter): YamlValue | undefined {
  const { length } = file.text
  if (length > MAX_CHARS) return file.report(0, `the file has ${length} characters`, `at most ${MAX_CHARS} are read`)
  let document
  try {
    document = parseDocument(file.text, { lineCounter: lines, prettyErrors: false })
  } catch (error) {
    // Lists nested by the thousand exhaust the parser's stack.
    return file.report(0, `this is no YAML that can be read: ${String(error)}`)
  }
  for (const { pos, message, code } of [...document.errors, ...document.warnings]) {
    if (code === "MULTIPLE_DOCS") file.report(pos[0], "a second document begins here", "write one rollout to a file")
    else file.report(pos[0], message)
  }
  if (!document.errors.every((error) => READABLE.has(error.code))) return undefined
  return readable(file, document.contents, "", 0)
}

/** What may be read further: neither an alias (a few lines of them unfold into gigabytes) nor an empty place. */
function readable(file: File, node: Node | null, name: string, place: number): YamlValue | undefined {
  const offset = node?.range?.[0] ?? place
  if (isAlias(node)) {
    return file.report(offset, `\`${name}\` is an alias, *${node.source}`, "write the value out: aliases are not read")
  }
  if (node === null || (isScalar(node) && node.value === null)) {
    if (name === "") return file.report(offset, "the file is empty")
    return file.report(offset, `\`${name}\` has no value`, "give it one, or remove it")
  }
  return valueOf(file, node, name, offset)
}

function valueOf(file: File, node: Node, name: string, offset: number): YamlValue {
  const source = isScalar(node) && typeof node.source === "string" ? node.source : undefined
  const value: YamlValue = {
    name,
    kind: isMap(node) ? "map" : isSeq(node) ? "list" : "scalar",
    scalar: isScalar(node) ? node.value : undefined,
    written: source ?? file.text.slice(offset, node.range?.[1] ?? offset),
    fail: (message, fix) => file.report(offset, `${name === "" ? "the file" : `\`${name}\``} ${message}`, fix),
    map(keys, elsewhere = {}) {
      if (!isMap(node)) return value.fail(`must be a map of keys, got ${shorten(value.written)}`)
      return mapOf(file, value, node, keys, elsewhere)
    },
    anyMap() {
      if (!isMap(node)) return value.fail(`must be a map of keys, got ${shorten(value.written)}`)
      return mapOf(
        file,
        value,
        node,
        node.items.map(({ key }) => (isScalar(key) ? String(key.value) : "")),
        {},
      )
    },
    list() {
      if (!isSeq(node)) return value.fail(`must be a list, got ${shorten(value.written)}`)
      const items = node.items.map((item, i) => readable(file, item as Node | null, `${name}[${i}]`, offset))
      return items.filter((item) => item !== undefined)
    },
  }
  return value
}

function mapOf(
  file: File,
  value: YamlValue,
  node: YAMLMap,
  known: readonly string[],
  elsewhere: Readonly<Record<string, readonly string[]>>,
): YamlMap {
  const entries = new Map<string, { node: Node | null; offset: number }>()
  for (const pair of node.items) {
    const key = pair.key as Node
    const offset = key.range?.[0] ?? 0
    const name = isScalar(key) ? String(key.value) : file.text.slice(offset, key.range?.[1])
    if (!isScalar(key) || !known.includes(name)) {
      const place = value.name === "" ? "" : ` in \`${value.name}\``
      file.report(offset, `unknown key \`${shorten(name)}\`${place}`, advice(name, known, elsewhere))
    } else if (!entries.has(name)) {
      entries.set(name, { node: pair.value as Node | null, offset })
    }
  }
  const child = (key: string) => (value.name === "" ? key : `${value.name}.${key}`)
  const map: YamlMap = {
    keys: [...entries.keys()],
    get(key, read) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      const inner = readable(file, entry.node, child(key), entry.offset)
      return inner === undefined ? undefined : read(inner)
    },
    require: (key, read, fix) => (entries.has(key) ? map.get(key, read) : value.fail(`has no \`${key}\``, fix)),
    fail(key, message, fix) {
      const entry = entries.get(key)
      return entry === undefined
        ? value.fail(message, fix)
        : file.report(entry.offset, `\`${child(key)}\` ${message}`, fix)
    },
  }
  return map
}

function advice(key: string, keys: readonly string[], elsewhere: Readonly<Record<string, readonly string[]>>): string {
  const near = nearest(key, keys)
  if (near !== undefined) return `did you mean \`${near}\`?`
  for (const [place, there] of Object.entries(elsewhere)) {
    const name = nearest(key, there)
    if (name !== undefined) return `${name === key ? "it" : `\`${name}\``} belongs under \`${place}\``
  }
  return `known keys: ${keys.join(", ")}`
}

/** The first line of what was written, short enough for a message. */
export function shorten(written: string): string {
  const line = written.split("\n", 1)[0] ?? ""
  return line.length > 40 || line.length < written.length ? `${line.slice(0, 40)}…` : line
}
