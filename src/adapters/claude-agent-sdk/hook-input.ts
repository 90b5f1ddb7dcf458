/** A call of a tool, as the Claude Agent SDK tells its hooks of it. Only what is named here was looked at. */
export interface ToolHook {
  readonly tool_name: string
  readonly tool_input?: unknown
  /** Empty: there is none. */
  readonly tool_use_id: string
  /** Empty: there is none. A subagent's calls have that of the agent that began it. */
  readonly session_id: string
  readonly agent_id?: string
  readonly agent_type?: string
  readonly permission_mode?: string
  /** Who serves a tool `mcp__server__tool`, and where that server is configured; `sdk`: in this process. */
  readonly mcp_server?: { readonly name: string; readonly source: string }
}

/** What became of a call, and what the model is about to read of it. */
export interface ToolResult extends ToolHook {
  readonly tool_response: unknown
}

type Fields = Readonly<Record<string, unknown>>

/** Read what a hook is handed. Null: it is no call of a tool. Throws what reading it throws. */
export function readToolHook(input: unknown, toolUseId?: unknown): ToolResult | null {
  const fields = fieldsOf(input)
  const tool = fields?.["tool_name"]
  if (fields === null || typeof tool !== "string" || tool === "") return null
  return {
    ...fields,
    tool_name: tool,
    tool_input: fields["tool_input"],
    tool_use_id: textOf(fields["tool_use_id"]) || textOf(toolUseId),
    session_id: textOf(fields["session_id"]),
    tool_response: fields["tool_response"],
  }
}

/** Read the calls of one turn, each with the answer that the model is about to read. Null: it is no such list. */
export function readBatch(input: unknown): readonly ToolResult[] | null {
  const calls = fieldsOf(input)?.["tool_calls"]
  if (!Array.isArray(calls)) return null
  const session = fieldsOf(input)?.["session_id"]
  const read = calls.map((call: unknown) => readToolHook({ ...fieldsOf(call), session_id: session }))
  return read.some((call) => call === null) ? null : (read as ToolResult[])
}

const fieldsOf = (value: unknown): Fields | null =>
  typeof value === "object" && value !== null ? (value as Fields) : null
const textOf = (value: unknown): string => (typeof value === "string" ? value : "")
