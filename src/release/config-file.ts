import { isAlias, isMap, isScalar, isSeq } from "yaml"
import type { ParsedNode, Scalar } from "yaml"
import type { Problem } from "../errors.js"
import { freeze, pathOf, show, valueAt } from "./config.js"
import { compileJsonSchema } from "./config-schema.js"
import { openDocument } from "./document.js"
import type { SourceDocument } from "./document.js"
import type { SourceFile } from "./ports.js"

/** Read a release's config and hold it to its schema; undefined when what is wrong with them, which is pushed on `problems`, leaves none. */
export function readConfig(file: SourceFile, schema: SourceFile, problems: Problem[]): unknown {
  const before = problems.length
  const rules = openDocument(schema, problems)
  const plainRules = rules.root && plainOf(rules, rules.root)
  const document = openDocument(file, problems)
  const config = document.root && plainOf(document, document.root)
  if (problems.length > before || document.root === null) return undefined
  const check = compileJsonSchema(plainRules, schema.path, problems)
  for (const { path, message } of check?.(config) ?? []) {
    const node = nodeAt(document.root, path)
    const where = pathOf(path).replace(/^\./, "")
    const what = where === "" ? message : `\`${where}\`: ${message}`
    document.refuse(node, `${what}, got ${show(valueAt(config, path))}`, `change it, or ${schema.path}`)
  }
  return problems.length > before ? undefined : freeze(config)
}

/** Read a document as data: what JSON can say, every key once. */
export function plainOf(document: SourceDocument, node: ParsedNode): unknown {
  if (isMap<Scalar.Parsed, ParsedNode | null>(node)) {
    const entries = new Map<string, unknown>()
    for (const { key, value } of node.items) {
      const name = String(key.value)
      if (name === "__proto__") document.refuse(key, "must not be a key", "choose another name")
      else if (entries.has(name)) document.refuse(key, `the key \`${name}\` is there twice`, "keep one")
      entries.set(name, value === null ? null : plainOf(document, value))
    }
    return Object.fromEntries([...entries].filter(([name]) => name !== "__proto__"))
  }
  if (isSeq<ParsedNode>(node)) return node.items.map((item) => plainOf(document, item))
  if (isAlias(node)) return document.refuse(node, "is an alias, which is not read", "write the value out")
  const value: unknown = isScalar(node) ? node.value : undefined
  if (value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value)) return value
  return document.refuse(node, "must be a text, a finite number, true, false or null")
}

/** The deepest node on a path: a key that is missing has none of its own. */
function nodeAt(root: ParsedNode, path: readonly PropertyKey[]): ParsedNode {
  let node = root
  for (const key of path) {
    let next: ParsedNode | null | undefined
    if (isMap<Scalar.Parsed, ParsedNode | null>(node)) {
      next = node.items.find((pair) => String(pair.key.value) === String(key))?.value
    } else if (isSeq<ParsedNode>(node)) next = node.items[Number(key)]
    if (next === null || next === undefined) return node
    node = next
  }
  return node
}
