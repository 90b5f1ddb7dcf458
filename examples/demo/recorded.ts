import type { RecordedCall } from "serin/testing"

/** What the recorded sessions tell about one tool. */
export interface Tool {
  readonly name: string
  readonly inputs: readonly unknown[]
  /** Share of all calls, 0–1. */
  readonly callShare: number
  /** Share of the sessions that use it, 0–1. */
  readonly sessionShare: number
}

/** Group recorded calls by tool, in the order of the file. */
export function toolsOf(calls: readonly RecordedCall[]): readonly Tool[] {
  const groups = new Map<string, { readonly inputs: unknown[]; readonly sessions: Set<string> }>()
  for (const { tool, session, input } of calls) {
    const group = groups.get(tool) ?? { inputs: [], sessions: new Set() }
    groups.set(tool, group)
    group.inputs.push(input)
    group.sessions.add(session)
  }
  const sessions = new Set(calls.map(({ session }) => session)).size
  return [...groups].map(([name, group]) => ({
    name,
    inputs: group.inputs,
    callShare: group.inputs.length / calls.length,
    sessionShare: group.sessions.size / sessions,
  }))
}

/** The values of one field, when every input of the tool has it. */
export function fieldOf<T>(tool: Tool, field: string, is: (value: unknown) => value is T): readonly T[] | null {
  const values = tool.inputs.map((input) => (isRecord(input) ? input[field] : undefined))
  return values.every(is) ? values : null
}

/** A field that every input of the tool has, if there is one. */
export function commonField(tool: Tool): string | null {
  const [first] = tool.inputs
  if (!isRecord(first)) return null
  const common = Object.keys(first).find((field) => tool.inputs.every((input) => isRecord(input) && field in input))
  return common ?? null
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
