import type { AgentMiddleware } from "langchain"
import type { Guard } from "../guard.js"
import type { Mode } from "../guard/guard-options.js"
import type { Passed, Ruling, ToolPort, ToolPortOptions } from "../guard/tool-port.js"
import type { Call } from "../model/call.js"

/** What LangChain hands over with a call of a tool. */
export interface ToolCallRequest {
  readonly toolCall: { readonly id?: string; readonly name: string; readonly args: unknown }
  readonly state: unknown
  readonly runtime: {
    readonly context?: unknown
    readonly configurable?: Readonly<Record<string, unknown>> | undefined
    readonly interrupt?: ((question: HumanRequest) => unknown) | undefined
    readonly signal?: AbortSignal | undefined
  }
}

/** What a person is asked through an interrupt: in the form of LangChain's own human-in-the-loop middleware, which user interfaces know. */
export interface HumanRequest {
  readonly actionRequests: readonly { readonly name: string; readonly args: unknown; readonly description: string }[]
  readonly reviewConfigs: readonly {
    readonly actionName: string
    readonly allowedDecisions: readonly ["approve", "reject"]
  }[]
}

interface ToolMessage {
  readonly content: unknown
  readonly tool_call_id: string
  readonly id?: string | undefined
  readonly name?: string | undefined
  readonly status?: "success" | "error" | undefined
  readonly artifact?: unknown
  readonly metadata?: unknown
  readonly additional_kwargs?: unknown
  readonly response_metadata?: unknown
}

/** Options of `guardMiddleware()`. */
export interface LangChainOptions<C extends Call = Call> extends ToolPortOptions<C, ToolCallRequest> {
  /** The class `ToolMessage` of your `langchain`: what is told to a model in place of an output has to be one of its own messages. */
  readonly ToolMessage: new (fields: never) => object
  /**
   * An error of a tool: `recover` (default) tells it to the model, as LangChain does where no middleware wraps calls of tools; `throw` hands it
   * to the middleware around this one.
   */
  readonly toolErrors?: "recover" | "throw" | undefined
}

type Middleware = AgentMiddleware<undefined, undefined, unknown, readonly []>
type Handler = (request: ToolCallRequest) => unknown

const NAME = "serin/adapters/langchain"

/**
 * Make a middleware that puts the guard before every tool of an agent: the first of the list, so that a retry is not another call. A denied call
 * is a tool message with the status `error`. An escalated one interrupts the agent where it has a checkpointer, else nobody can be asked.
 */
export function guardMiddleware<C extends Call, M extends Mode>(
  guard: Guard<C, M>,
  { ToolMessage, toolErrors = "recover", ...options }: LangChainOptions<C>,
): Middleware {
  if (typeof ToolMessage !== "function") {
    throw new TypeError(
      `${NAME}: ToolMessage must be the class of langchain, got ${typeof ToolMessage}: import it from there`,
    )
  }
  if (toolErrors !== "recover" && toolErrors !== "throw") {
    throw new TypeError(`${NAME}: toolErrors must be recover or throw, got ${String(toolErrors)}`)
  }
  const port = guard.toolPort<ToolCallRequest>(NAME, options, { asks: true })
  const unattended = port.asks ? guard.toolPort<ToolCallRequest>(NAME, { ...options, escalate: "deny" }) : port
  const Message = ToolMessage as unknown as new (fields: ToolMessage) => object

  const failed = ({ toolCall: { id = "", name } }: ToolCallRequest, content: string): object =>
    new Message({ content, tool_call_id: id, name, status: "error" })

  async function run(request: ToolCallRequest, handler: Handler): Promise<unknown> {
    try {
      return await handler(request)
    } catch (error) {
      if (toolErrors === "throw" || request.runtime.signal?.aborted === true || isOfRuntime(error)) throw error
      // The words of LangChain itself, which are its default only where no middleware wraps calls of tools.
      return failed(request, `${String(error)}\n Please fix your mistakes.`)
    }
  }

  /** Its content is what a model reads; the artifact of a message is not, nor is a graph's state. */
  async function scanned(ruling: Ruling<C>, output: unknown): Promise<unknown> {
    if (!isToolMessage(output)) return output
    const passed: Passed = await port.pass(ruling, output.content)
    if (passed.kind === "pass" && passed.value === output.content) return output
    const { id, name, tool_call_id } = output
    if (passed.kind === "withhold")
      return new Message({ id, name, tool_call_id, content: passed.reason, status: "error" })
    const { status, artifact, metadata, additional_kwargs, response_metadata } = output
    const kept = { status, artifact, metadata, additional_kwargs, response_metadata }
    return new Message({ id, name, tool_call_id, content: passed.value, ...kept })
  }

  async function checked(ruling: Ruling<C>, output: unknown): Promise<unknown> {
    if (!port.scans) return output
    if (!isCommand(output)) return scanned(ruling, output)
    const { update } = output
    const entries = (Array.isArray(update) ? update : Object.entries(update ?? {})) as [string, unknown][]
    const seen = await Promise.all(
      entries.map(async ([key, value]) => {
        if (key !== "messages") return [key, value]
        return [key, await Promise.all([value].flat().map((message) => scanned(ruling, message)))]
      }),
    )
    const own = Object.getOwnPropertyDescriptors(output)
    const rebuilt = { ...own.update, value: Array.isArray(update) ? seen : Object.fromEntries(seen) }
    return Object.create(Object.getPrototypeOf(output) as object, { ...own, update: rebuilt })
  }

  async function wrapToolCall(request: ToolCallRequest, handler: Handler): Promise<unknown> {
    const { toolCall, runtime } = request
    const use = { tool: toolCall.name, input: toolCall.args, callId: toolCall.id }
    const asking = canInterrupt(runtime) ? port : unattended
    const ruling = settle(asking, await asking.decide(use, request, threadOf(runtime)), runtime)
    return ruling.kind === "refuse" ? failed(request, ruling.reason) : checked(ruling, await run(request, handler))
  }

  // The brand is a type alone: LangChain itself asks for a name, and for what the middleware has.
  return { name: "serin", wrapToolCall } as unknown as Middleware
}

/** The interrupt throws, for LangGraph to keep; when the agent is resumed, the call comes again and is answered. */
function settle<C extends Call>(
  port: ToolPort<C, ToolCallRequest>,
  ruling: Ruling<C>,
  { interrupt }: ToolCallRequest["runtime"],
): Ruling<C> {
  if (ruling.kind !== "ask" || interrupt === undefined) return ruling
  const { tool, input } = ruling.use
  const description = ruling.reason ?? "policy asks for the approval of a person"
  const answer = interrupt({
    actionRequests: [{ name: tool, args: input, description }],
    reviewConfigs: [{ actionName: tool, allowedDecisions: ["approve", "reject"] }],
  })
  return port.answered(ruling, isApproval(answer))
}

/** An interrupt without a checkpointer is an error of LangGraph: the agent could never be resumed. */
const canInterrupt = ({ interrupt, configurable }: ToolCallRequest["runtime"]): boolean =>
  typeof interrupt === "function" && Boolean(configurable?.["__pregel_checkpointer"])

function threadOf({ configurable }: ToolCallRequest["runtime"]): string | undefined {
  const thread = configurable?.["thread_id"]
  return typeof thread === "string" ? thread : undefined
}

function isApproval(answer: unknown): boolean {
  if (typeof answer !== "object" || answer === null || !("decisions" in answer)) return false
  const { decisions } = answer
  return (
    Array.isArray(decisions) &&
    decisions.length === 1 &&
    (decisions[0] as { type?: unknown } | null)?.type === "approve"
  )
}

/** An interrupt or a command to a parent graph, a call whose input the schema refuses, an error of a middleware: LangChain knows what to do. */
function isOfRuntime(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false
  return ("is_bubble_up" in error && error.is_bubble_up === true) || "~brand" in error
}

const isToolMessage = (output: unknown): output is ToolMessage =>
  typeof output === "object" && output !== null && "type" in output && output.type === "tool" && "content" in output

const isCommand = (output: unknown): output is { readonly update?: unknown } =>
  typeof output === "object" && output !== null && "lg_name" in output && output.lg_name === "Command"
