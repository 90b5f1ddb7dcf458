import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js"
import { InMemoryTransport as TransportV1 } from "@modelcontextprotocol/sdk/inMemory.js"
import { McpServer as ServerV1 } from "@modelcontextprotocol/sdk/server/mcp.js"
import { Client as ClientV2 } from "@modelcontextprotocol/client"
import { InMemoryTransport as TransportV2, McpServer as ServerV2 } from "@modelcontextprotocol/server"
import { describe, expect, it } from "vitest"
import { z } from "zod"
import { guardClient, guardToolCallback } from "serin/adapters/mcp"
import { ASKED, starterTests, type Written } from "../cli/starter-code.js"
import { adapterContract, BROKEN, contractGuard } from "./contract.js"
import type { Played, Scenario } from "./contract.js"

const info = { name: "test", version: "1.0.0" }
const inputSchema = z.object({ text: z.string() })
const TOOLS = ["read", "pay", "erase", "crash"]

type Callback = (input: { text: string }, context: object) => Promise<{ content: { type: "text"; text: string }[] }>
type Content = readonly { readonly type: string; readonly text?: string }[]
interface Connected {
  callTool(params: { name: string; arguments: { text: string } }): Promise<unknown>
  close(): Promise<void>
}

/** A server with these tools and a client of one version of the SDK, connected in memory. */
async function connectV1(tools: ReadonlyMap<string, Callback>, sessionId?: string): Promise<ClientV1> {
  const server = new ServerV1(info)
  for (const [name, callback] of tools) server.registerTool(name, { inputSchema }, callback)
  const pair = TransportV1.createLinkedPair()
  for (const transport of pair) Object.assign(transport, { sessionId })
  const client = new ClientV1(info)
  await Promise.all([server.connect(pair[1]), client.connect(pair[0])])
  return client
}

async function connectV2(tools: ReadonlyMap<string, Callback>, sessionId?: string): Promise<ClientV2> {
  const server = new ServerV2(info)
  for (const [name, callback] of tools) server.registerTool(name, { inputSchema }, callback)
  const pair = TransportV2.createLinkedPair()
  for (const transport of pair) Object.assign(transport, { sessionId })
  const client = new ClientV2(info)
  await Promise.all([server.connect(pair[1]), client.connect(pair[0])])
  return client
}

type Connect = (tools: ReadonlyMap<string, Callback>, sessionId?: string) => Promise<Connected>

/** Play a scenario with the guard on one side of a connection. */
const playOn =
  (side: "server" | "client", connect: Connect) =>
  async ({ guard, calls, options, conversation }: Scenario): Promise<Played> => {
    const ran: string[] = []
    const toolOf =
      (name: string): Callback =>
      async ({ text }) => {
        ran.push(`${name}: ${text}`)
        if (text === "fail") throw new Error(BROKEN)
        return { content: [{ type: "text", text: `${name}: ${text}` }] }
      }
    const on = guard as never
    const told = options as never
    const tools = TOOLS.map((name): [string, Callback] => {
      return [name, side === "server" ? guardToolCallback(on, name, toolOf(name), told) : toolOf(name)]
    })
    const plain = await connect(new Map(tools), conversation)
    const client = side === "client" ? guardClient(plain, on, told) : plain
    const read: string[] = []
    for (const { tool: name, text } of calls) {
      const { content } = (await client.callTool({ name, arguments: { text } })) as { content: Content }
      read.push(content.map((part) => part.text ?? "").join())
    }
    await client.close()
    return { ran, read, asked: 0 }
  }

const lacks = { pause: "no approval", refused: "no approval", streamed: "no stream" } as const
adapterContract({ framework: "MCP server, SDK 1", lacks, play: playOn("server", connectV1) })
adapterContract({ framework: "MCP server, SDK 2", lacks, play: playOn("server", connectV2) })
adapterContract({ framework: "MCP client, SDK 1", lacks, play: playOn("client", connectV1) })
adapterContract({ framework: "MCP client, SDK 2", lacks, play: playOn("client", connectV2) })

describe("a result of a tool of MCP", () => {
  const result = async (content: readonly object[], more: object = {}): Promise<unknown> => {
    const { guard } = contractGuard()
    const callback = async (_input: object, _context: object): Promise<unknown> => ({ content, ...more })
    return guardToolCallback(guard, "read", callback, { scanOutput: true })({}, {})
  }
  const withheld = { isError: true, content: [{ type: "text", text: expect.stringMatching(/not allow its output/) }] }

  it("is handed on whole when every part of it is clean", async () => {
    const content = [
      { type: "text", text: "fine" },
      { type: "resource_link", uri: "file:///a", name: "a" },
    ]
    const more = { structuredContent: { a: 1 }, _meta: { b: 2 } }
    expect(await result(content, more)).toEqual({ content, ...more })
  })

  it("is withheld for a text, a structure or a resource with what is blocked, and for bytes", async () => {
    expect(
      await result([
        { type: "text", text: "fine" },
        { type: "text", text: "the secret" },
      ]),
    ).toEqual(withheld)
    expect(await result([], { structuredContent: { a: ["the secret"] } })).toEqual(withheld)
    expect(await result([{ type: "resource", resource: { uri: "file:///a", text: "the secret" } }])).toEqual(withheld)
    expect(await result([{ type: "image", data: "AAAA", mimeType: "image/png" }])).toEqual(withheld)
    expect(await result([{ type: "resource", resource: { uri: "file:///a", blob: "AAAA" } }])).toEqual(withheld)
  })
})

/** Call the tools of the server that `init` wrote. */
async function askServer<T>({ createServer }: Written, [near, far]: readonly [T, T], client: object) {
  const server = (createServer as () => { connect(to: T): Promise<void> })()
  const { connect, callTool, close } = bound(client)
  await Promise.all([server.connect(far), connect(near)])
  const texts: string[] = []
  for (const { tool: name, input } of ASKED) {
    const { content } = (await callTool({ name, arguments: input })) as { readonly content: Content }
    texts.push(content.map(({ text }) => text).join())
  }
  await close()
  return texts
}

/** The classes of both versions differ in their types, and not in this. */
function bound(client: object) {
  const { connect, callTool, close } = client as Readonly<Record<string, (one?: unknown) => Promise<unknown>>>
  return { connect: connect!.bind(client), callTool: callTool!.bind(client), close: close!.bind(client) }
}

starterTests("version 1 of MCP's SDK", ["@modelcontextprotocol/sdk"], (code) =>
  askServer(code, TransportV1.createLinkedPair(), new ClientV1(info)),
)
starterTests("version 2 of MCP's SDK", ["@modelcontextprotocol/server"], (code) =>
  askServer(code, TransportV2.createLinkedPair(), new ClientV2(info)),
)

describe("a tool of MCP without a schema", () => {
  it("is judged with an empty input, by the session of its context", async () => {
    const { guard, sessions } = contractGuard()
    const callback = guardToolCallback(guard, "read", (_context: object) => ({ content: [] }))
    expect(callback({ sessionId: "own", requestId: 1 })).toEqual({ content: [] })
    expect(sessions).toEqual(["own"])
  })
})

describe("a guarded client of MCP", () => {
  it("is the client in all else", async () => {
    const { guard } = contractGuard()
    const client = guardClient(await connectV1(new Map([["read", async () => ({ content: [] })]])), guard)
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["read"])
    expect(client).toBeInstanceOf(ClientV1)
    await client.close()
  })
})
