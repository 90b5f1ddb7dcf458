import type { Guard } from "../guard.js"
import type { Mode } from "../guard/guard-options.js"
import type { Ruling, ToolPort, ToolPortOptions } from "../guard/tool-port.js"
import { around } from "../guard/tool-shape.js"
import type { Call } from "../model/call.js"
import { sessionIdOf } from "./session-id.js"

/** What the AI SDK hands over with a call of a tool. Version 6 has `experimental_context`, version 7 `context` of the tool. */
export interface ToolCallContext {
  readonly toolCallId: string
  readonly messages: readonly unknown[]
  readonly context?: unknown
  readonly experimental_context?: unknown
  /** Only where {@link toolApproval} asks. */
  readonly runtimeContext?: unknown
}

/** As for every adapter. `escalate` defaults to `ask`: the AI SDK's own approval. The own id of a session is `sessionId` of the context. */
export type AiOptions<C extends Call = Call> = ToolPortOptions<C, ToolCallContext>

interface AiTool {
  readonly execute?: ((...args: unknown[]) => unknown) | undefined
  readonly needsApproval?: boolean | ((...args: unknown[]) => unknown) | undefined
}

const NAME = "serin/adapters/ai"

/**
 * Put the guard before every tool of a `ToolSet` that is run here; the same type comes out. A denied call is a tool error whose text is for
 * the model. An escalated one needs approval, beside those for which the tool itself says so. Tools without `execute` stay what they are.
 */
export function guardTools<C extends Call, M extends Mode, T extends object>(
  guard: Guard<C, M>,
  tools: T,
  options?: AiOptions<C>,
): T {
  const port = guard.toolPort<ToolCallContext>(NAME, options, { asks: true })
  const entries = Object.entries(tools) as [string, AiTool][]
  port.unguarded(entries.flatMap(([name, { execute }]) => (typeof execute === "function" ? [] : [name])))
  return Object.fromEntries(entries.map(([name, tool]) => [name, guardTool(port, name, tool)])) as T
}

function guardTool<C extends Call>(port: ToolPort<C, ToolCallContext>, name: string, tool: AiTool): AiTool {
  const { execute, needsApproval } = tool
  if (typeof execute !== "function") return tool

  const judge = (input: unknown, context: ToolCallContext): Ruling<C> | Promise<Ruling<C>> =>
    port.decide({ tool: name, input, callId: context.toolCallId }, context, sessionIn(context))

  async function asksPerson(input: unknown, context: ToolCallContext): Promise<boolean> {
    const own = typeof needsApproval === "function" ? await needsApproval.call(tool, input, context) : needsApproval
    if (own === true) return true
    const ruling = await judge(input, context)
    // Approved, and meanwhile denied: it has to come to its execution, for the model to be told why.
    return ruling.kind === "ask" || (ruling.kind === "refuse" && isApproved(context))
  }

  /** The SDK executes what needs approval only once it is approved; whoever else executes the tool has asked nobody. */
  function afterApproval(ruling: Ruling<C>, context: ToolCallContext): Ruling<C> {
    return ruling.kind === "ask" ? port.answered(ruling, isApproved(context)) : ruling
  }

  const guarded = around<C>({
    tool: name,
    port,
    drain: lastOf,
    fn: execute.bind(tool),
    decide([input, context]) {
      const told = (context ?? {}) as ToolCallContext
      const ruling = judge(input, told)
      return ruling instanceof Promise
        ? ruling.then((settled) => afterApproval(settled, told))
        : afterApproval(ruling, told)
    },
  })
  const own = Object.getOwnPropertyDescriptors(tool) as PropertyDescriptorMap
  const added = { execute: valueOf(guarded), ...(port.asks && { needsApproval: valueOf(asksPerson) }) }
  return Object.create(Object.getPrototypeOf(tool) as object, { ...own, ...added }) as AiTool
}

/** What decides on a call in version 7, and what it answers. */
export interface ApprovalQuestion {
  readonly toolCall: { readonly toolName: string; readonly toolCallId: string; readonly input: unknown }
  readonly tools?: object | undefined
  readonly toolsContext?: object | undefined
  readonly messages: readonly unknown[]
  readonly runtimeContext?: unknown
}

/** What the AI SDK takes as the answer to whether a call needs approval. */
export type ApprovalStatus =
  | undefined
  | "not-applicable"
  | "approved"
  | "denied"
  | "user-approval"
  | { readonly type: "not-applicable"; readonly reason?: never }
  | { readonly type: "approved" | "denied" | "user-approval"; readonly reason?: string }

/**
 * Make the `toolApproval` of version 7, over one of your own. With one of them, the SDK no longer asks a tool's own `needsApproval`: this asks
 * it where yours says nothing. The stricter answer counts, so a call that yours approves may still be denied, or put to a person.
 */
export function toolApproval<C extends Call, M extends Mode>(
  guard: Guard<C, M>,
  theirs?: object | undefined,
  options?: AiOptions<C>,
): (question: ApprovalQuestion) => Promise<ApprovalStatus> {
  const port = guard.toolPort<ToolCallContext>(NAME, options, { asks: true })
  return async (question) => {
    const { toolName: tool, toolCallId: callId, input } = question.toolCall
    const context = contextOf(question)
    const own = await ownStatus(theirs, question, context)
    if (typeOf(own) === "denied") return own
    const ruling = await port.decide({ tool, input, callId }, context, sessionIn(context))
    if (ruling.kind === "run") return own
    if (ruling.kind === "refuse") return { type: "denied", reason: ruling.reason }
    if (typeOf(own) === "user-approval") return own
    return ruling.reason === undefined ? "user-approval" : { type: "user-approval", reason: ruling.reason }
  }
}

const typeOf = (status: ApprovalStatus): string =>
  (typeof status === "object" ? status.type : status) ?? "not-applicable"

/** What the host says, for all tools or for this one; else what the tool says. */
async function ownStatus(
  theirs: object | undefined,
  question: ApprovalQuestion,
  context: ToolCallContext,
): Promise<ApprovalStatus> {
  const { toolCall, tools, messages, runtimeContext } = question
  const { toolName, toolCallId, input } = toolCall
  const setting: unknown = typeof theirs === "function" ? theirs : ownOf(theirs, toolName)
  const told: unknown =
    typeof setting !== "function"
      ? setting
      : setting === theirs
        ? await setting(question)
        : await setting(input, { toolCallId, messages, toolContext: context.context, runtimeContext })
  const status = told as ApprovalStatus
  if (typeOf(status) !== "not-applicable") return status
  const tool = ownOf(tools, toolName) as AiTool | undefined
  const needs = tool?.needsApproval
  const needed = typeof needs === "function" ? await needs.call(tool, input, context) : needs
  return needed === true ? "user-approval" : status
}

function contextOf({ toolCall, toolsContext, messages, runtimeContext }: ApprovalQuestion): ToolCallContext {
  const { toolName, toolCallId } = toolCall
  return { toolCallId, messages, context: ownOf(toolsContext, toolName), runtimeContext }
}

/** A name comes from a model: it must not find what every object has. */
const ownOf = (of: object | undefined, name: string): unknown =>
  of !== undefined && Object.hasOwn(of, name) ? (of as Record<string, unknown>)[name] : undefined

const valueOf = (value: unknown): PropertyDescriptor => ({
  value,
  enumerable: true,
  configurable: true,
  writable: true,
})

/** The SDK has no id of a conversation. */
const sessionIn = ({ experimental_context: shared, context }: ToolCallContext): string | undefined =>
  sessionIdOf(shared) ?? sessionIdOf(context)

/** Whether this call is executed because it was approved: as the SDK itself reads it, from the last message. */
function isApproved({ messages, toolCallId }: ToolCallContext): boolean {
  if (!Array.isArray(messages)) return false
  const requests = new Set(
    partsOf(messages)
      .filter((part) => part["type"] === "tool-approval-request" && part["toolCallId"] === toolCallId)
      .map((part) => part["approvalId"]),
  )
  return partsOf(messages.slice(-1)).some(
    (part) =>
      part["type"] === "tool-approval-response" && part["approved"] === true && requests.has(part["approvalId"]),
  )
}

const partsOf = (messages: readonly unknown[]): readonly Readonly<Record<string, unknown>>[] =>
  messages.flatMap((message) => {
    const content: unknown = (message as { content?: unknown } | null)?.content
    return Array.isArray(content) ? (content as Readonly<Record<string, unknown>>[]) : []
  })

/** Of a stream that came where the SDK expects an answer, the last item is the answer. */
async function lastOf(items: AsyncIterable<unknown>): Promise<unknown> {
  let last: unknown
  for await (const item of items) last = item
  return last
}
