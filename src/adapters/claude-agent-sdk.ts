import type { Call } from "../model/call.js"
import { orGiveUp } from "../model/or-give-up.js"
import type { Guard } from "../guard.js"
import type { Mode } from "../guard/guard-options.js"
import { withheldText } from "../guard/refusal.js"
import type { Ruling, ToolPort, ToolPortOptions } from "../guard/tool-port.js"
import { answer, notJudged, questionOf, rewritten } from "./claude-agent-sdk/hook-answer.js"
import type { HookAnswer } from "./claude-agent-sdk/hook-answer.js"
import { blank } from "./claude-agent-sdk/blank.js"
import { readBatch, readToolHook } from "./claude-agent-sdk/hook-input.js"
import type { ToolHook, ToolResult } from "./claude-agent-sdk/hook-input.js"

export type { HookAnswer } from "./claude-agent-sdk/hook-answer.js"
export type { ToolHook, ToolResult } from "./claude-agent-sdk/hook-input.js"
export { mergeHooks } from "./claude-agent-sdk/merge-hooks.js"
export type { HookMap } from "./claude-agent-sdk/merge-hooks.js"

/** As for every adapter. `escalate` defaults to `ask`: the SDK's `canUseTool`; where there is none, the SDK denies the call. */
export interface ClaudeOptions<C extends Call = Call> extends ToolPortOptions<C, ToolHook> {
  /** The action of a tool, as `mcp__shop__pay`. Default: the tool's name. Not beside `call`. Where it throws, the tool is not run. */
  readonly action?: ((tool: string, hook: ToolHook) => string) | undefined
  /** How long the SDK waits for a hook, in ms; a call that is not judged by then is not run. Default: as the SDK has it. */
  readonly timeoutMs?: number | undefined
}

/** Hooks of one event, as the SDK takes them. */
export interface HookMatcher {
  hooks: ((input: unknown, toolUseId: string | undefined, context: { signal: AbortSignal }) => Promise<HookAnswer>)[]
  /** In seconds. */
  timeout?: number
}

/** The events that the guard has a part in. */
export type GuardHooks = {
  PreToolUse: HookMatcher[]
  PostToolUse?: HookMatcher[]
  PostToolUseFailure?: HookMatcher[]
  PostToolBatch?: HookMatcher[]
}

/** A call between its hooks. */
interface Open<C extends Call> {
  readonly ruling: Ruling<C>
  /** Undefined: nobody looked at its output yet. `hidden`: the text that took the place of the output, or of parts of it. */
  seen?: { readonly kind: "clean" } | { readonly kind: "rewritten"; readonly hidden: string | null }
}

const NAME = "serin/adapters/claude-agent-sdk"
/** Calls between their hooks; more than that were interrupted. What is forgotten of them is scanned once more. */
const MAX_OPEN = 1000

/**
 * Make the hooks that ask the guard before every tool of an agent, for the option `hooks` of `query()`; with hooks of the host's:
 * `mergeHooks`. A hook never throws, because the SDK then runs the tool. Throws `TypeError` or `RangeError` for options that there are not.
 */
export function guardHooks<C extends Call, M extends Mode>(
  guard: Guard<C, M>,
  options: ClaudeOptions<C> = {},
): GuardHooks {
  const { action, call, timeoutMs, ...rest } = options
  if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0)) {
    throw new RangeError(`${NAME}: timeoutMs must be a number of ms above 0, got ${String(timeoutMs)}`)
  }
  const port = guard.toolPort<ToolHook>(NAME, { ...rest, call: callOf(action, call) }, { asks: true })
  const open = new Map<string, Open<C>>()

  function remember(hook: ToolHook, ruling: Ruling<C>): void {
    if (hook.tool_use_id === "") return
    open.set(keyOf(hook), { ruling })
    if (open.size > MAX_OPEN) open.delete(open.keys().next().value!)
  }

  /** Find what is known of a call that ran: so a person who was asked said yes. */
  function ran(hook: ToolHook): Open<C> | undefined {
    const known = open.get(keyOf(hook))
    if (known?.ruling.kind === "ask") port.answered(known.ruling, true)
    return known
  }

  async function before(hook: ToolHook, signal: AbortSignal | undefined): Promise<HookAnswer> {
    const { tool_name: tool, tool_input: input, tool_use_id: id, session_id: session } = hook
    const use = { tool, input, callId: id || undefined }
    const ruling = await inTime(port.decide(use, hook, session || undefined), signal)
    if (ruling === null) return notJudged(tool)
    if (port.asks || port.scans) remember(hook, ruling)
    if (ruling.kind === "run") return {}
    return ruling.kind === "ask" ? answer("ask", questionOf(ruling.reason)) : answer("deny", ruling.reason)
  }

  async function after(hook: ToolResult): Promise<HookAnswer> {
    const known = ran(hook)
    if (!port.scans) return {}
    const { tool_name: tool, tool_response: output } = hook
    const passed = await port.pass(known?.ruling ?? stray(hook), output)
    if (passed.kind === "pass" && passed.value === output) {
      if (known !== undefined) known.seen = { kind: "clean" }
      return {}
    }
    if (known !== undefined) known.seen = { kind: "rewritten", hidden: passed.kind === "pass" ? null : passed.reason }
    // What a tool of the SDK's own answers has a form, which is kept.
    const shown = (reason: string): unknown => (tool.startsWith("mcp__") ? reason : blank(output, reason))
    return rewritten(passed.kind === "pass" ? passed.value : shown(passed.reason))
  }

  /** The model is about to read all answers of a turn. This is where a hook cannot change them any more, but can stop the agent. */
  async function last(calls: readonly ToolResult[]): Promise<HookAnswer> {
    const known = calls.map((call) => open.get(keyOf(call)))
    for (const [index, call] of calls.entries()) {
      open.delete(keyOf(call))
      // One that ran was answered before, and stays so.
      const ruling = known[index]?.ruling
      if (ruling?.kind === "ask") port.answered(ruling, false)
    }
    if (!port.scans) return {}
    const leaks = await Promise.all(calls.map((call, index) => leakOf(port, call, known[index])))
    const leak = leaks.find((found) => found !== null)
    return leak === undefined || leak === null ? {} : { continue: false, stopReason: leak }
  }

  const matcher = (hook: HookMatcher["hooks"][number]): HookMatcher[] => [
    { hooks: [hook], ...(timeoutMs !== undefined && { timeout: timeoutMs / 1000 }) },
  ]
  const lost: HookAnswer = port.scans ? { continue: false, stopReason: withheldText("a tool", null) } : {}
  const PreToolUse = matcher((input, id, context) =>
    safely(notJudged("a tool"), () => {
      const hook = readToolHook(input, id)
      return hook === null ? null : before(hook, context?.signal)
    }),
  )
  if (!port.asks && !port.scans) return { PreToolUse }
  return {
    PreToolUse,
    PostToolUse: matcher((input, id) =>
      safely(lost, () => {
        const hook = readToolHook(input, id)
        return hook === null ? null : after(hook)
      }),
    ),
    PostToolUseFailure: matcher((input, id) =>
      safely({}, async () => {
        const hook = readToolHook(input, id)
        if (hook !== null) ran(hook)
        return {}
      }),
    ),
    PostToolBatch: matcher((input) =>
      safely(lost, () => {
        const calls = readBatch(input)
        return calls === null ? null : last(calls)
      }),
    ),
  }
}

function callOf<C extends Call>(
  action: ClaudeOptions<C>["action"],
  call: ClaudeOptions<C>["call"],
): ClaudeOptions<C>["call"] {
  if (action === undefined) return call
  if (call !== undefined) throw new TypeError(`${NAME}: action and call both say what is judged; pass one of them`)
  if (typeof action !== "function") throw new TypeError(`${NAME}: action must be a function, got ${typeof action}`)
  return ({ tool, input }, hook) => ({ action: action(tool, hook), input }) as unknown as C
}

/** Say why the model must not read on: what it is about to read was not cleared, or is not what it was cleared as. Null: it may. */
async function leakOf<C extends Call>(
  port: ToolPort<C, ToolHook>,
  call: ToolResult,
  known: Open<C> | undefined,
): Promise<string | null> {
  const { tool_name: tool, tool_response: output } = call
  if (known?.ruling.kind === "refuse" || known?.seen?.kind === "clean") return null
  const hidden = known?.seen?.kind === "rewritten" ? known.seen.hidden : null
  const left = hidden !== null && typeof output === "string" ? output.replaceAll(hidden, "") : output
  if (typeof left === "string" && left.trim() === "") return null
  const passed = await port.pass(known?.ruling ?? stray(call), left)
  if (passed.kind === "withhold") return passed.reason
  return passed.value === left ? null : `The output of ${tool} holds what policy masks, and it could not be masked.`
}

/** What was not asked about, as a tool that there is not: its text is read all the same. */
const stray = ({ tool_name: tool, tool_input: input }: ToolHook) => ({ use: { tool, input }, sessionId: "" })

const keyOf = ({ session_id: session, tool_use_id: id }: ToolHook): string => `${session} ${id}`

/** Wait until the SDK does not any more. Null: it has given up. */
function inTime<T>(pending: T | Promise<T>, signal: AbortSignal | undefined): T | Promise<T | null> {
  return pending instanceof Promise && signal !== undefined ? orGiveUp(signal, pending).catch(() => null) : pending
}

/** Answer in any case. A hook that throws lets the tool run, and lets its output pass. */
async function safely(otherwise: HookAnswer, run: () => Promise<HookAnswer> | null): Promise<HookAnswer> {
  try {
    return (await run()) ?? otherwise
  } catch {
    return otherwise
  }
}
