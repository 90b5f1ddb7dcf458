import type { ParsedNode } from "yaml"
import type { Problem } from "../errors.js"
import { openDocument } from "./document.js"
import type { SourceDocument } from "./document.js"
import { look, type Pattern } from "./pattern-look.js"
import { clip, suggest } from "./problems.js"
import { DIRECTIONS } from "./ports.js"
import type { Scanner, SourceFile } from "./ports.js"
import { watched } from "./watched.js"

/** A pattern, and where its expression is written. */
interface Placed extends Pattern {
  readonly node: ParsedNode
}

const MAX_PATTERNS = 500
const MAX_SOURCE = 2000
const MAX_REDACT = 100
const DEFAULT_TIMEOUT_MS = 100
const MAX_TIMEOUT_MS = 10_000
/** For trying all patterns of a pack out, ms, during which the process does nothing else: 500 ordinary ones take a second. */
const TRIAL_MS = 10_000
const ID = /^[\w.:/-]{1,128}$/
const KEYS = ["id", "category", "pattern", "flags", "direction", "result", "redact"] as const
const RESULTS = ["flagged", "blocked"] as const
const NAMED_ONCE = "findings and diffs name a pattern by its id"

/**
 * Read a pattern pack and make its scanner; null when what is wrong with it, which is pushed on `problems`, leaves none. The
 * scanner looks for all patterns of a text's direction within one time limit: past it the scan is an error, never clean.
 */
export function readPatternPack(name: string, file: SourceFile, problems: Problem[]): Scanner | null {
  const before = problems.length
  const document = openDocument(file, problems)
  const fields = document.root && document.fields(document.root, "the pack", ["timeout_ms", "patterns"])
  if (fields === null) return null
  const timeoutMs = readTimeout(document, fields.get("timeout_ms"))
  const list = document.need(fields, "patterns", "the pack", "write `patterns:` and a list below it")
  const nodes = (list && document.items(list, "`patterns`")) ?? []
  if (list !== null && nodes.length === 0) document.refuse(list, "there is no pattern in `patterns`", "write one")
  if (nodes.length > MAX_PATTERNS) document.refuse(list!, `more than ${MAX_PATTERNS} patterns`, "split the pack")
  const ids = new Set<string>()
  const patterns = nodes.slice(0, MAX_PATTERNS).flatMap((node) => readPattern(document, node, ids) ?? [])
  tryOut(document, patterns)
  if (problems.length > before) return null
  const byDirection = new Map(
    DIRECTIONS.map((direction) => [direction, patterns.filter(({ directions }) => directions.includes(direction))]),
  )
  return Object.freeze({
    name,
    directions: DIRECTIONS.filter((direction) => byDirection.get(direction)?.length !== 0),
    // A direction that nobody knows is looked at by all, as it is by all scanners.
    scan: (text, { direction }) => watched(timeoutMs, () => look(text, byDirection.get(direction) ?? patterns)),
  } satisfies Scanner)
}

/**
 * Texts of one byte and of two a character: V8 compiles an expression for each of them, when it is first used and, better, when it is used
 * again. Left to the first texts of a session, this takes several times the limit of a scan.
 */
const TRIAL_TEXTS = ["", "", "\u2713", "\u2713"]

/** Have all patterns compiled, and refuse those that cannot be used. Attack: patterns that take a second each, 500 of them. */
function tryOut(document: SourceDocument, patterns: readonly Placed[]): void {
  let tried = 0
  const tryNext = (): void => {
    for (; tried < patterns.length; tried++) {
      const { expression, id, node } = patterns[tried]!
      const [isEmpty] = TRIAL_TEXTS.map((text) => text.search(expression) >= 0)
      if (isEmpty === true) {
        const what = `pattern \`${clip(id)}\`: \`pattern\` matches the empty text, so every text`
        document.refuse(node, what, "ask for one character")
      }
    }
  }
  const deadline = performance.now() + TRIAL_MS
  while (tried < patterns.length) {
    const left = Math.ceil(deadline - performance.now())
    try {
      if (left > 0) watched(left, tryNext)
      else throw new Error(`the pack is not compiled within ${TRIAL_MS} ms`)
    } catch (error) {
      const { id, node } = patterns[tried++]!
      const message = error instanceof Error ? clip(error.message, 200) : "no error was thrown"
      document.refuse(node, `pattern \`${clip(id)}\`: \`pattern\` cannot be used: ${message}`)
      if (performance.now() >= deadline) return
    }
  }
}

function readPattern(document: SourceDocument, node: ParsedNode, ids: Set<string>): Placed | null {
  const fields = document.fields(node, "the pattern", KEYS)
  if (fields === null) return null
  const idNode = document.need(fields, "id", "the pattern", `name it: ${NAMED_ONCE}`)
  const id = idNode && document.text(idNode, "`id`")
  const name = id === null ? "the pattern" : `pattern \`${clip(id)}\``
  if (idNode !== null && id !== null && !ID.test(id)) {
    document.refuse(
      idNode,
      `${name}: \`id\` has other characters or is too long`,
      "use up to 128 letters, digits, and . _ : / -",
    )
  }
  if (idNode !== null && id !== null && ids.has(id)) document.refuse(idNode, `${name} is there twice`, NAMED_ONCE)
  ids.add(id ?? "")
  const categoryNode = document.need(fields, "category", name, "write what it finds, such as `pii` or `secret`")
  const category = categoryNode && document.text(categoryNode, `${name}: \`category\``)
  if (categoryNode !== null && category !== null && !ID.test(category)) {
    document.refuse(categoryNode, `${name}: \`category\` has other characters or is too long`, "use one such as `pii`")
  }
  const expression = readExpression(document, fields.get("pattern"), fields.get("flags"), node, name)
  const direction = readWord(document, fields.get("direction"), `${name}: \`direction\``, DIRECTIONS)
  const result = readWord(document, fields.get("result"), `${name}: \`result\``, RESULTS)
  const redactNode = fields.get("redact")
  const redact = redactNode === undefined ? undefined : document.text(redactNode, `${name}: \`redact\``)
  if (redactNode !== undefined && typeof redact === "string" && redact.length > MAX_REDACT) {
    document.refuse(redactNode, `${name}: \`redact\` is longer than ${MAX_REDACT} characters`, "shorten it")
  }
  if (id === null || category === null || expression === null) return null
  return {
    id,
    category,
    node: fields.get("pattern") ?? node,
    expression,
    directions: direction === null ? DIRECTIONS : [direction],
    result: result ?? "flagged",
    redact: redact ?? null,
  }
}

function readExpression(
  document: SourceDocument,
  sourceNode: ParsedNode | undefined,
  flagsNode: ParsedNode | undefined,
  node: ParsedNode,
  name: string,
): RegExp | null {
  if (sourceNode === undefined) {
    document.refuse(node, `${name} has no \`pattern\``, "write a regular expression in single quotes")
    return null
  }
  const source = document.text(sourceNode, `${name}: \`pattern\``)
  const flags = flagsNode === undefined ? "" : document.text(flagsNode, `${name}: \`flags\``)
  if (source === null || flags === null) return null
  if (flagsNode !== undefined && (!/^[ims]*$/.test(flags) || new Set(flags).size < flags.length)) {
    document.refuse(flagsNode, `${name}: \`flags\` may have \`i\`, \`m\` and \`s\`, each once, got ${clip(flags)}`)
    return null
  }
  if (source.length > MAX_SOURCE) {
    document.refuse(sourceNode, `${name}: \`pattern\` is longer than ${MAX_SOURCE} characters`, "split it")
    return null
  }
  try {
    // `u` refuses escapes that mean nothing.
    return new RegExp(source, `gu${flags}`)
  } catch (error) {
    const message = error instanceof Error ? clip(error.message, 200) : "no error was thrown"
    document.refuse(sourceNode, `${name}: \`pattern\` cannot be used: ${message}`)
    return null
  }
}

function readWord<W extends string>(
  document: SourceDocument,
  node: ParsedNode | undefined,
  what: string,
  words: readonly W[],
): W | null {
  const text = node && document.text(node, what)
  if (node === undefined || text === undefined || text === null) return null
  const word = words.find((one) => one === text)
  if (word === undefined) document.refuse(node, `${what} is the unknown \`${clip(text)}\``, suggest(text, words))
  return word ?? null
}

function readTimeout(document: SourceDocument, node: ParsedNode | undefined): number {
  if (node === undefined) return DEFAULT_TIMEOUT_MS
  const value = document.number(node, "`timeout_ms`")
  if (value === null || (Number.isInteger(value) && value >= 1 && value <= MAX_TIMEOUT_MS)) {
    return value ?? DEFAULT_TIMEOUT_MS
  }
  document.refuse(node, `\`timeout_ms\` must be a whole number from 1 to ${MAX_TIMEOUT_MS}, got ${value}`)
  return DEFAULT_TIMEOUT_MS
}
