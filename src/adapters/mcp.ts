import { isRecord } from "../model/record.js"
import type { Guard } from "../guard.js"
import type { Mode } from "../guard/guard-options.js"
import type { Passed, Ruling, ToolPort, ToolPortOptions } from "../guard/tool-port.js"
import { around } from "../guard/tool-shape.js"
import type { Call } from "../model/call.js"

/** What a server's SDK hands to a tool: version 1 has `requestId`, version 2 `mcpReq`. */
export interface McpServerContext {
  readonly sessionId?: string | undefined
  readonly requestId?: string | number | undefined
  readonly mcpReq?: { readonly id?: string | number | undefined } | undefined
}

/** What a client is asked to call. */
export interface McpCallParams {
  readonly name: string
  readonly arguments?: Readonly<Record<string, unknown>> | undefined
}

interface McpClient {
  callTool(params: McpCallParams, ...rest: never[]): Promise<unknown>
  readonly transport?: { readonly sessionId?: string | undefined } | undefined
}

type Callback = (...args: never[]) => unknown

/**
 * Put the guard before the callback of a tool that an MCP server registers; the same type comes out. Denied, it answers a result with `isError`
 * and the text for the model. The own id of a session is that of the transport.
 */
export function guardToolCallback<C extends Call, M extends Mode, F extends Callback>(
  guard: Guard<C, M>,
  tool: string,
  callback: F,
  options?: ToolPortOptions<C, McpServerContext>,
): F {
  const port = guard.toolPort<McpServerContext>("serin/adapters/mcp", options)
  const guarded = around<C>({
    tool,
    fn: callback as unknown as (...args: unknown[]) => unknown,
    port: scanning(port),
    denied: ({ reason }) => refused(reason),
    decide(args) {
      // A tool without a schema is given the context alone.
      const context = (args.at(-1) ?? {}) as McpServerContext
      const input = args.length > 1 ? args[0] : {}
      const id = context.mcpReq?.id ?? context.requestId
      const callId = id === undefined ? undefined : String(id)
      return port.decide({ tool, input, callId }, context, context.sessionId)
    },
  })
  return guarded as unknown as F
}

/**
 * Make a client whose `callTool` asks the guard before a call is sent, and scans what comes back, if that is asked for; in all else it is the
 * client. Denied, `callTool` answers a result with `isError` and the text for the model. The own id of a session is that of the transport.
 */
export function guardClient<C extends Call, M extends Mode, T extends object>(
  client: T,
  guard: Guard<C, M>,
  options?: ToolPortOptions<C, McpCallParams>,
): T {
  const port = guard.toolPort<McpCallParams>("serin/adapters/mcp", options)
  const target = client as T & McpClient
  async function callTool(params: McpCallParams, ...rest: never[]): Promise<unknown> {
    const { name: tool, arguments: input = {} } = params
    const ruling = await port.decide({ tool, input }, params, target.transport?.sessionId)
    if (ruling.kind === "refuse") return refused(ruling.reason)
    const passed = await scanning(port).pass(ruling, await target.callTool(params, ...rest))
    return passed.kind === "pass" ? passed.value : refused(passed.reason)
  }
  return new Proxy(client, {
    get(_, key) {
      if (key === "callTool") return callTool
      const value: unknown = Reflect.get(client, key, client)
      // What is private to a client is found on the client alone.
      return typeof value === "function" ? (value.bind(client) as unknown) : value
    },
  })
}

/** Whose output it is. */
type About<C extends Call> = Pick<Ruling<C>, "use" | "sessionId">

const refused = (text: string): object => ({ isError: true, content: [{ type: "text", text }] })

/** The port, for results: their texts are scanned one by one, as they are. */
function scanning<C extends Call, X>(port: ToolPort<C, X>): Pick<ToolPort<C, never>, "scans" | "pass"> {
  return {
    scans: port.scans,
    pass: (ruling, result) => (port.scans ? passResult(port, ruling, result) : { kind: "pass", value: result }),
  }
}

async function passResult<C extends Call, X>(port: ToolPort<C, X>, ruling: About<C>, result: unknown): Promise<Passed> {
  if (!isRecord(result)) return port.pass(ruling, result)
  const { content, ...rest } = result
  const { _meta: meta, ...told } = rest
  const others = await port.pass(ruling, told)
  if (others.kind === "withhold") return others
  const value: Record<string, unknown> = { ...(others.value as object), ...(meta !== undefined && { _meta: meta }) }
  if (!Array.isArray(content)) return { kind: "pass", value: content === undefined ? value : { ...value, content } }
  const parts: unknown[] = []
  for (const part of content as unknown[]) {
    const passed = await passPart(port, ruling, part)
    if (passed.kind === "withhold") return passed
    parts.push(passed.value)
  }
  return { kind: "pass", value: { ...value, content: parts } }
}

/** Pictures and sounds are bytes: nobody can say that they are clean. */
async function passPart<C extends Call, X>(port: ToolPort<C, X>, ruling: About<C>, part: unknown): Promise<Passed> {
  if (!isRecord(part)) return port.pass(ruling, part)
  const { resource } = part
  if ("data" in part || (isRecord(resource) && "blob" in resource)) return port.pass(ruling, new Uint8Array())
  if (part["type"] !== "text") return port.pass(ruling, part)
  const passed = await port.pass(ruling, part["text"])
  return passed.kind === "pass" ? { kind: "pass", value: { ...part, text: passed.value } } : passed
}
