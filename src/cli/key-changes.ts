import { parse } from "yaml"
import { openDocument } from "../release/document.js"
import { clip } from "../release/problems.js"

const SHOWN = 100
const MAX_DEPTH = 32

/** Say which keys of a YAML or JSON mapping changed; none where the texts are no mappings. */
export function keyChanges(before: string, after: string): string[] {
  const [was, is] = [flatten(before), flatten(after)]
  if (was === null || is === null) return []
  const changes: string[] = []
  for (const key of [...new Set([...was.keys(), ...is.keys()])].sort()) {
    const [from, to] = [was.get(key), is.get(key)]
    if (from === to) continue
    if (from === undefined) changes.push(`${key} added: ${clip(to ?? "")}`)
    else if (to === undefined) changes.push(`${key} removed, was ${clip(from)}`)
    else changes.push(`${key}: ${clip(from)} → ${clip(to)}`)
  }
  return changes.length > SHOWN ? [...changes.slice(0, SHOWN), `and ${changes.length - SHOWN} more`] : changes
}

/** Every leaf by its path. Lists are leaves, for their places say nothing; but for those of which each member has a name of its own. */
function flatten(text: string): Map<string, string> | null {
  // Refuses what is nested so deeply that parsing it would exhaust the stack.
  if (openDocument({ path: "", text }, []).root === null) return null
  let root: unknown
  try {
    root = parse(text, { version: "1.2", schema: "core", maxAliasCount: 0, mapAsMap: true })
  } catch {
    return null
  }
  if (!(root instanceof Map)) return null
  const leaves = new Map<string, string>()
  const walk = (value: unknown, path: string, depth: number): void => {
    const members = namedMembers(value)
    if (members !== null && depth <= MAX_DEPTH) {
      for (const [name, member] of members) walk(member, `${path}[${name}]`, depth + 1)
      return
    }
    if (!(value instanceof Map) || value.size === 0 || depth > MAX_DEPTH) {
      leaves.set(path, JSON.stringify(value instanceof Map ? {} : value) ?? "null")
      return
    }
    for (const [key, inner] of value) walk(inner, path === "" ? String(key) : `${path}.${String(key)}`, depth + 1)
  }
  walk(root, "", 0)
  return leaves
}

/** Patterns have an `id`, thresholds an `alert`. */
const NAMES = ["id", "alert"]

function namedMembers(value: unknown): ReadonlyMap<string, Map<unknown, unknown>> | null {
  if (!Array.isArray(value) || value.length === 0) return null
  const key = NAMES.find((one) => value.every((member) => member instanceof Map && typeof member.get(one) === "string"))
  if (key === undefined) return null
  const members = new Map((value as Map<unknown, unknown>[]).map((member) => [String(member.get(key)), member]))
  return members.size === value.length ? members : null
}
