import type { HookMap } from "serin/adapters/claude-agent-sdk"

/** A tool as the agent has it: of a server in the process, or, with `isOutput`, one that is built in, whose output has a form. */
export interface AgentTool {
  run(input: Readonly<Record<string, unknown>>): unknown
  readonly isOutput?: (output: unknown) => boolean
}

export interface AgentOptions {
  readonly hooks?: HookMap
  readonly tools: Readonly<Record<string, AgentTool>>
  /** One turn of the model: the calls that it makes. */
  readonly turns: readonly (readonly { readonly tool: string; readonly input: unknown }[])[]
  readonly sessionId?: string
  readonly agentId?: string
  readonly canUseTool?: (tool: string, input: unknown) => boolean
}

export interface AgentRun {
  /** What the model read as the answer to each of its calls. */
  readonly read: readonly string[]
  /** The agent was stopped by a hook, with this for its host. */
  readonly stopped: string | null
}

type Said = Readonly<Record<string, unknown>>
interface Answer {
  readonly continue?: boolean
  readonly stopReason?: string
  readonly hookSpecificOutput?: Said
}
type Hook = (input: unknown, id: string | undefined, context: { signal: AbortSignal }) => Promise<Answer>

const STRICTNESS = ["allow", "ask", "deny"]

/**
 * Do with hooks what Claude Code 2.1.330 was seen to do with them, without its binary: the tests of the frameworks hold both to one
 * contract. A hook that throws counts as one without an opinion; the strictest permission counts; the last rewrite wins; what is of another
 * form than a built-in tool's output is dropped; a hook that stops a batch keeps the model from reading it.
 */
export async function runAgent(options: AgentOptions): Promise<AgentRun> {
  const { hooks = {}, tools, turns, canUseTool } = options
  const common = {
    session_id: options.sessionId ?? "own",
    cwd: "/",
    ...(options.agentId && { agent_id: options.agentId }),
  }
  const read: string[] = []
  let made = 0

  async function fire(event: string, told: object, id?: string): Promise<Answer[]> {
    const matchers = (hooks[event] ?? []) as readonly { readonly hooks: readonly Hook[] }[]
    const input = JSON.stringify({ ...common, hook_event_name: event, ...told })
    const { signal } = new AbortController()
    const answers = matchers.flatMap((matcher) => matcher.hooks).map((hook) => hook(JSON.parse(input), id, { signal }))
    const settled = await Promise.allSettled(answers)
    return settled.flatMap((one) =>
      one.status === "fulfilled" ? [JSON.parse(JSON.stringify(one.value)) as Answer] : [],
    )
  }

  async function answerTo(tool: string, input: unknown, id: string): Promise<string> {
    const about = { tool_name: tool, tool_input: input, tool_use_id: id }
    const opinions = (await fire("PreToolUse", about, id)).map((one): Said => one.hookSpecificOutput ?? {})
    const rank = (one: Said): number => STRICTNESS.indexOf(String(one["permissionDecision"]))
    const [strictest] = opinions.toSorted((a, b) => rank(b) - rank(a))
    const reason = String(strictest?.["permissionDecisionReason"])
    if (strictest?.["permissionDecision"] === "deny") return `PreToolUse:${tool} hook error: ${reason}`
    if (strictest?.["permissionDecision"] === "ask") {
      if (canUseTool === undefined) return reason
      if (!canUseTool(tool, input)) return "the person says no"
    }
    const { run, isOutput } = tools[tool]!
    let output: unknown
    try {
      output = await run(input as Readonly<Record<string, unknown>>)
    } catch (error) {
      const message = (error as Error).message
      await fire("PostToolUseFailure", { ...about, error: message, is_interrupt: false }, id)
      return message
    }
    const rewrites = (await fire("PostToolUse", { ...about, tool_response: output }, id)).flatMap((one) =>
      one.hookSpecificOutput !== undefined && "updatedToolOutput" in one.hookSpecificOutput
        ? [one.hookSpecificOutput["updatedToolOutput"]]
        : [],
    )
    const rewrite = rewrites.at(-1)
    return textOf(rewrite !== undefined && isOutput?.(rewrite) !== false ? rewrite : output)
  }

  for (const calls of turns) {
    const answered = await Promise.all(
      calls.map(async ({ tool, input }) => {
        const id = `toolu_${++made}`
        return { tool_name: tool, tool_input: input, tool_use_id: id, tool_response: await answerTo(tool, input, id) }
      }),
    )
    const [stop] = (await fire("PostToolBatch", { tool_calls: answered })).filter((one) => one.continue === false)
    if (stop !== undefined) return { read, stopped: stop.stopReason ?? "" }
    read.push(...answered.map((one) => one.tool_response))
  }
  return { read, stopped: null }
}

/** As the model reads an output: blocks of text as texts, what a built-in tool answers line by line. */
function textOf(output: unknown): string {
  if (typeof output === "string") return output
  const parts = Array.isArray(output)
    ? output.map((block: { text?: string }) => block.text)
    : Object.values(output as object)
  return parts.filter((part) => typeof part === "string").join("\n")
}

/** What a hook of the host's may say; it stands beside the guard's. */
export const hostHook = (event: string, answer: object): HookMap => ({ [event]: [{ hooks: [async () => answer] }] })
