import { Composer, isAlias, isMap, isScalar, isSeq, LineCounter, Parser } from "yaml"
import type { CST, ParsedNode, Scalar } from "yaml"
import type { Problem } from "../errors.js"
import type { SourceFile } from "./ports.js"
import { clip, suggest } from "./problems.js"

/** A YAML or JSON document that is read node by node, so that every problem has its line, and nothing is read that is not known. */
export interface SourceDocument {
  /** Null when the document is empty or is no YAML: that is reported. */
  readonly root: ParsedNode | null
  /** `path:line:column` of a node. */
  where(node: ParsedNode): string
  /** Add a problem with a node, or with the character at an index of its text. */
  refuse(node: ParsedNode, message: string, fix?: string, character?: number): void
  /** Read a mapping whose keys are all known and written once. */
  fields<K extends string>(node: ParsedNode, what: string, known: readonly K[]): Fields<K> | null
  /** Find a key that must be there. */
  need<K extends string>(fields: Fields<K>, key: K, what: string, fix: string): ParsedNode | null
  /** Read a sequence. */
  items(node: ParsedNode, what: string): readonly ParsedNode[] | null
  /** Read a text that is not empty. */
  text(node: ParsedNode, what: string): string | null
  /** Read a finite number. */
  number(node: ParsedNode, what: string): number | null
  boolean(node: ParsedNode, what: string): boolean | null
  /** Read such a text or a list of at least one. */
  texts(node: ParsedNode, what: string): readonly string[] | null
}

/** The known keys that a mapping has. */
export interface Fields<K extends string> {
  readonly node: ParsedNode
  get(key: K): ParsedNode | undefined
}

/** A document of a release is a few levels deep. Far deeper ones exhaust the stack in `yaml`'s composer and end the process. */
const MAX_DEPTH = 64
/** One slip makes many syntax errors: the first tell enough. */
const MAX_SYNTAX_ERRORS = 10

/** Open a document; what is wrong with it, now and while it is read, is pushed on `problems`. Never throws. */
export function openDocument(file: SourceFile, problems: Problem[]): SourceDocument {
  const lines = new LineCounter()

  function at(offset: number): string {
    const { line, col } = lines.linePos(offset)
    return `${file.path}:${line}:${col}`
  }

  /** Quotes, escapes and folding move characters: point into a text only where the file has it as it is. */
  function offsetOf(node: ParsedNode, character: number): number {
    if (character === 0 || !isScalar(node) || typeof node.value !== "string") return node.range[0]
    const start = node.range[0] + (node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE" ? 1 : 0)
    return file.text.startsWith(node.value, start) ? start + character : node.range[0]
  }

  function refuse(node: ParsedNode, message: string, fix?: string, character = 0): void {
    problems.push({ where: at(offsetOf(node, character)), message, ...(fix !== undefined && { fix }) })
  }

  function refuseKind(node: ParsedNode, what: string, wanted: string): null {
    if (isAlias(node)) {
      refuse(
        node,
        `${what} is an alias (\`*${clip(node.source)}\`), which is not read`,
        `a text that begins with * needs quotes: "*${clip(node.source)}"; else write the value out`,
      )
    } else {
      const quotes = isScalar(node) && node.value !== null && wanted === "a text"
      const fix = quotes ? `put it in quotes: ${JSON.stringify(clip(node.source))}` : undefined
      refuse(node, `${what} must be ${wanted}, not ${kindOf(node)}`, fix)
    }
    return null
  }

  function text(node: ParsedNode, what: string): string | null {
    if (!isScalar(node) || typeof node.value !== "string") return refuseKind(node, what, "a text")
    if (node.value.trim() !== "") return node.value
    refuse(node, `${what} is empty`)
    return null
  }

  return {
    root: compose(file, lines, at, problems),
    refuse,
    where: (node) => at(node.range[0]),
    fields<K extends string>(node: ParsedNode, what: string, known: readonly K[]) {
      if (!isMap<Scalar.Parsed, ParsedNode | null>(node)) return refuseKind(node, what, "a mapping")
      const found = new Map<K, ParsedNode>() // a Map: `__proto__` is a key like any other, and an unknown one
      for (const { key, value } of node.items) {
        const name = String(key.value)
        const match = known.find((one) => one === name)
        if (match === undefined) refuse(key, `${what} has the unknown key \`${clip(name)}\``, suggest(name, known))
        else if (found.has(match)) refuse(key, `${what} has the key \`${name}\` twice`, "keep one")
        else found.set(match, value ?? key)
      }
      return { node, get: (key: K) => found.get(key) }
    },
    need<K extends string>(fields: Fields<K>, key: K, what: string, fix: string) {
      const found = fields.get(key)
      if (found === undefined) refuse(fields.node, `${what} has no \`${key}\``, fix)
      return found ?? null
    },
    items(node, what) {
      return isSeq<ParsedNode>(node) ? node.items : refuseKind(node, what, "a list")
    },
    text,
    number(node, what) {
      const value = isScalar(node) ? node.value : null
      return typeof value === "number" && Number.isFinite(value) ? value : refuseKind(node, what, "a number")
    },
    boolean(node, what) {
      const value = isScalar(node) ? node.value : null
      return typeof value === "boolean" ? value : refuseKind(node, what, "true or false")
    },
    texts(node, what) {
      const nodes = isSeq<ParsedNode>(node) ? node.items : [node]
      if (nodes.length === 0) refuse(node, `${what} is an empty list`)
      const texts = nodes.map((one) => text(one, what))
      return texts.length > 0 && texts.every((one) => one !== null) ? texts : null
    },
  }
}

function compose(
  file: SourceFile,
  lines: LineCounter,
  at: (offset: number) => string,
  problems: Problem[],
): ParsedNode | null {
  const tokens = [...new Parser(lines.addNewLine).parse(file.text)]
  if (isDeeperThan(MAX_DEPTH, tokens)) {
    problems.push({ where: file.path, message: "is nested too deeply to be read" })
    return null
  }
  // Duplicate keys are looked for in `fields`: the composer compares every key with every other.
  const composer = new Composer({ version: "1.2", schema: "core", uniqueKeys: false, stringKeys: true })
  const [document, second] = composer.compose(tokens, true, file.text.length)
  const errors = [...(document?.errors ?? []), ...(document?.warnings ?? [])]
  for (const { pos, message } of errors.slice(0, MAX_SYNTAX_ERRORS)) problems.push({ where: at(pos[0]), message })
  if (errors.length > 0) return null
  if (second !== undefined) {
    problems.push({ where: at(second.range[0]), message: "a second document begins here", fix: "remove the `---`" })
    return null
  }
  const root = (document?.contents ?? null) as ParsedNode | null
  if (root === null || (isScalar(root) && root.value === null)) {
    problems.push({ where: `${file.path}:1:1`, message: "the file is empty" })
    return null
  }
  return root
}

/** Measure with a stack of our own what the composer walks by recursion. Attack: `{a: {a: {a: …` in a file. */
function isDeeperThan(limit: number, tokens: readonly CST.Token[]): boolean {
  const stack: { readonly token: CST.Token; readonly depth: number }[] = []
  const push = (token: CST.Token | null | undefined, depth: number) => {
    if (token !== null && token !== undefined) stack.push({ token, depth })
  }
  for (const token of tokens) push(token, 0)
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { token, depth } = next
    if (depth > limit) return true
    if (token.type === "document") push(token.value, depth)
    if (!("items" in token)) continue
    for (const item of token.items) {
      push(item.key, depth + 1)
      push(item.value, depth + 1)
    }
  }
  return false
}

function kindOf(node: ParsedNode): string {
  if (isMap(node)) return "a mapping"
  if (isSeq(node)) return "a list"
  if (isAlias(node)) return "an alias"
  if (node.value === null) return "empty"
  return `the ${typeof node.value} ${clip(node.source)}`
}
