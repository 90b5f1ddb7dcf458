import type { Guard } from "../guard.js"
import type { Mode } from "../guard/guard-options.js"
import type { Ruling, ToolPort, ToolPortOptions } from "../guard/tool-port.js"
import type { Call } from "../model/call.js"
import { sessionIdOf } from "./session-id.js"

/** What of the SDK's `RunContext` is read. */
export interface RunContext {
  /** What you passed to `run`. Its `sessionId`, if that is a text, is the runtime's own id of the session. */
  readonly context: unknown
  isToolApproved(approval: { toolName: string; callId: string }): boolean | undefined
}

/** What the SDK hands over with a call of a tool. */
export interface ToolCallContext {
  readonly runContext: RunContext
  readonly callId: string | undefined
}

/** As for every adapter. `escalate` defaults to `ask`: the SDK's own interruption. */
export type OpenAIAgentsOptions<C extends Call = Call> = ToolPortOptions<C, ToolCallContext>

/** A call of a tool that a person refused, as the SDK tells of it. */
export interface Rejection {
  readonly toolName: string
  readonly callId: string
  readonly runContext: object
}

interface Details {
  readonly toolCall?: { readonly callId: string; readonly name: string; readonly namespace?: string | undefined }
  readonly signal?: AbortSignal
}

interface FunctionTool {
  readonly type: "function"
  readonly name: string
  readonly parameters?: unknown
  invoke: (runContext: RunContext, input: string, details?: Details) => unknown
  needsApproval?: boolean | ((runContext: RunContext, input: unknown, callId?: string) => unknown)
}

interface NamedTool {
  readonly type: string
  readonly name?: string
}

const NAME = "serin/adapters/openai-agents"

const guarded = new WeakSet<object>()

/** What a person is being asked, by run and call. A person's no comes to no tool, but to {@link toolErrorFormatter}. */
const asked = new WeakMap<object, Map<string, () => string>>()

/**
 * Put the guard before every function tool of a list, and hand the list back. The tools stay the objects that they are: the SDK knows agents
 * that are tools by them. Tools that are no functions are not guarded, and told of. Throws `TypeError` for one that is guarded already.
 */
export function guardTools<C extends Call, M extends Mode, T extends readonly NamedTool[]>(
  guard: Guard<C, M>,
  tools: T,
  options?: OpenAIAgentsOptions<C>,
): T {
  const port = guard.toolPort<ToolCallContext>(NAME, options, { asks: true })
  const others = tools.filter((tool) => tool.type !== "function")
  port.unguarded(others.map(({ name, type }) => name ?? type))
  for (const tool of tools) if (isFunctionTool(tool)) putGuard(port, tool)
  return tools
}

/** Put the guard before one tool: as {@link guardTools}. */
export function guardTool<C extends Call, M extends Mode, T extends NamedTool>(
  guard: Guard<C, M>,
  tool: T,
  options?: OpenAIAgentsOptions<C>,
): T {
  guardTools(guard, [tool], options)
  return tool
}

/**
 * Tell the model of a call that a person refused, and the guard of the refusal: for `toolErrorFormatter` of a run or of a `Runner`. Undefined
 * for a call about which the guard did not ask, or asked in another process: the SDK has words of its own.
 */
export function toolErrorFormatter({ runContext, callId }: Rejection): string | undefined {
  return asked.get(runContext)?.get(callId)?.()
}

function putGuard<C extends Call>(port: ToolPort<C, ToolCallContext>, tool: FunctionTool): void {
  if (guarded.has(tool)) throw new TypeError(`${NAME}: the tool ${tool.name} is guarded already: guard a tool once`)
  guarded.add(tool)
  const { name, invoke, needsApproval, parameters } = tool

  const judge = (runContext: RunContext, input: unknown, callId: string | undefined) =>
    port.decide({ tool: name, input, callId }, { runContext, callId }, sessionIdOf(runContext.context))

  /** The model's arguments as the SDK hands them to `needsApproval`, so that approval and execution are one call. */
  function parsed(input: string): unknown {
    if (parameters === undefined || parameters === null) return input
    try {
      return JSON.parse(input) as unknown
    } catch {
      return input
    }
  }

  async function asksPerson(runContext: RunContext, input: unknown, callId?: string): Promise<boolean> {
    const own =
      typeof needsApproval === "function" ? await needsApproval.call(tool, runContext, input, callId) : needsApproval
    const ruling = await judge(runContext, input, callId)
    if (ruling.kind !== "ask") return Boolean(own)
    if (callId !== undefined) expectRefusal(port, runContext, callId, ruling)
    return true
  }

  /** The SDK invokes what needs approval only once it is approved; whoever else invokes the tool has asked nobody. */
  function settled(ruling: Ruling<C>, runContext: RunContext, details: Details | undefined): Ruling<C> {
    if (ruling.kind !== "ask") return ruling
    return port.answered(ruling, details?.toolCall !== undefined && isApproved(runContext, details.toolCall))
  }

  tool.invoke = async (runContext, input, details) => {
    const callId = details?.toolCall?.callId
    const ruling = settled(await judge(runContext, parsed(input), callId), runContext, details)
    if (callId !== undefined) asked.get(runContext)?.delete(callId)
    if (ruling.kind === "refuse") return ruling.reason
    // While a person was asked, the time of the tool ran out, and the model was told so.
    details?.signal?.throwIfAborted()
    const passed = await port.pass(ruling, await invoke.call(tool, runContext, input, details))
    return passed.kind === "pass" ? passed.value : passed.reason
  }
  if (port.asks) tool.needsApproval = asksPerson
}

function expectRefusal<C extends Call>(
  port: ToolPort<C, ToolCallContext>,
  runContext: RunContext,
  callId: string,
  ruling: Ruling<C>,
): void {
  const calls = asked.get(runContext) ?? new Map<string, () => string>()
  asked.set(runContext, calls)
  calls.set(callId, () => {
    const refused = port.answered(ruling, false)
    return refused.kind === "refuse" ? refused.reason : ""
  })
}

/** Approvals are kept by the name with the namespace, but for a tool that has the name of its namespace. */
function isApproved(runContext: RunContext, { name, namespace, callId }: NonNullable<Details["toolCall"]>): boolean {
  const names = namespace === undefined || namespace === "" ? [name] : [`${namespace}.${name}`]
  if (namespace === name) names.push(name)
  return names.some((toolName) => runContext.isToolApproved({ toolName, callId }) === true)
}

const isFunctionTool = (tool: NamedTool): tool is FunctionTool => tool.type === "function"
