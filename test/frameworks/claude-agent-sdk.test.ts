import { mkdtempSync, rmSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { afterAll, describe, expect, it } from "vitest"
import type { Guard } from "serin"
import { guardHooks, mergeHooks } from "serin/adapters/claude-agent-sdk"
import type { GuardHooks, HookMap } from "serin/adapters/claude-agent-sdk"
import { adapterContract, BROKEN, contractGuard, REASONS } from "../adapters/contract.js"
import type { Played, Scenario } from "../adapters/contract.js"
import { starterCode } from "../../src/cli/starter-code.js"
import { ASKED, starterTests } from "../cli/starter-code.js"
import { compileBlocks } from "../docs/compile.js"
import { answersIn, fakeApi } from "./anthropic-api.js"
import type { Block } from "./anthropic-api.js"
import { hasFramework, skipNote } from "./frameworks.js"

/** What is used of the SDK, which is not there for the compiler. */
interface ClaudeSdk {
  query(asked: { prompt: string; options: object }): AsyncIterable<{
    readonly type: string
    readonly session_id?: string
    readonly terminal_reason?: string
  }>
  createSdkMcpServer(options: object): object
  tool(name: string, description: string, schema: object, run: (input: { text: string }) => Promise<object>): object
}

const here = createRequire(import.meta.url)
const PACKAGE = "@anthropic-ai/claude-agent-sdk"
const folder = fileURLToPath(new URL(`node_modules/${PACKAGE}/`, import.meta.url))
const isThere = hasFramework(PACKAGE)
skipNote(PACKAGE, 25)

const sdk = isThere ? ((await import(pathToFileURL(join(folder, "sdk.mjs")).href)) as ClaudeSdk) : null
const { z } = here("zod") as { readonly z: { string(): object } }
const homes: string[] = []
afterAll(() => homes.forEach((home) => rmSync(home, { recursive: true, force: true })))

interface Agent {
  readonly hooks: HookMap
  /** One turn of the model: the calls that it makes, `read`, `pay`, `erase` and `crash` being those of a server in this process. */
  readonly turns: readonly (readonly { readonly tool: string; readonly input: unknown }[])[]
  readonly canUseTool?: (tool: string) => boolean
  readonly options?: object
}

interface Ran extends Played {
  readonly sessionId: string
  readonly ended: string
  readonly strays: readonly string[]
}

/** Run an agent of the SDK: its program, hooks and permissions, and a model on loopback. */
async function run({ hooks, turns, canUseTool, options }: Agent): Promise<Ran> {
  const { query, createSdkMcpServer, tool } = sdk!
  const home = mkdtempSync(join(tmpdir(), "serin-claude-"))
  homes.push(home)
  const ran: string[] = []
  let asked = 0
  const read = new Map<string, string>()
  const script = turns.map((calls, turn) =>
    calls.map(({ tool: name, input }, i): Block => ({ type: "tool_use", id: `toolu_${turn}_${i}`, name, input })),
  )
  const api = await fakeApi((request) => {
    if ((request.tools ?? []).length === 0) return [{ type: "text", text: "a title" }]
    for (const [id, text] of answersIn(request)) read.set(id, text)
    return script.shift() ?? [{ type: "text", text: "done" }]
  })
  const named = (name: string): object =>
    tool(name, name, { text: z.string() }, async ({ text }) => {
      ran.push(`${name}: ${text}`)
      if (text === "fail") throw new Error(BROKEN)
      return { content: [{ type: "text", text: `${name}: ${text}` }] }
    })
  const names = ["read", "pay", "erase", "crash"]
  const own = {
    cwd: home,
    model: "claude-sonnet-4-5",
    settingSources: [],
    tools: [],
    maxTurns: 10,
    mcpServers: { shop: createSdkMcpServer({ name: "shop", version: "1.0.0", tools: names.map(named) }) },
    allowedTools: names.map((name) => `mcp__shop__${name}`),
    hooks,
    ...(canUseTool !== undefined && {
      canUseTool: async (name: string, input: object) => {
        asked += 1
        return canUseTool(name)
          ? { behavior: "allow", updatedInput: input }
          : { behavior: "deny", message: "a person says no" }
      },
    }),
    env: {
      PATH: process.env["PATH"],
      HOME: home,
      TMPDIR: home,
      CLAUDE_CONFIG_DIR: home,
      ANTHROPIC_BASE_URL: api.url,
      ANTHROPIC_API_KEY: "none",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      IS_SANDBOX: "1", // else it refuses bypassPermissions to the user that builds run as
      DISABLE_AUTOUPDATER: "1",
      DISABLE_TELEMETRY: "1",
      DISABLE_ERROR_REPORTING: "1",
    },
  }
  let sessionId = ""
  let ended = ""
  try {
    for await (const message of query({ prompt: "go", options: { ...own, ...options } })) {
      sessionId ||= message.session_id ?? ""
      ended = message.terminal_reason ?? ended
    }
  } finally {
    api.close()
  }
  return { ran, asked, read: [...read.values()], sessionId, ended, strays: api.strays }
}

const OWN = "6b1f6f0e-7f0b-4c53-9d5e-0e6b0f1c2a3d"
const MCP = { action: (tool: string): string => tool.replace("mcp__shop__", "") }
const calls = (...names: string[]) => names.map((name) => [{ tool: `mcp__shop__${name}`, input: { text: "a" } }])

async function play({ guard, calls: wanted, options, conversation, approve, streamed }: Scenario): Promise<Played> {
  const { ran, asked, read } = await run({
    hooks: guardHooks(guard as Guard, { ...options, ...MCP }),
    turns: wanted.map(({ tool, text }) => [{ tool: `mcp__shop__${tool}`, input: { text } }]),
    canUseTool: () => approve === true,
    options: {
      ...(conversation !== undefined && { sessionId: conversation }),
      ...(streamed === true && { includePartialMessages: true }),
    },
  })
  return { ran, asked, read }
}

describe.skipIf(!isThere)("the Claude Agent SDK itself", { timeout: 120_000 }, () => {
  adapterContract({ framework: "Claude Agent SDK", play, conversation: OWN })

  it("takes the hooks by its types", () => {
    const path = "./test/frameworks/node_modules/@anthropic-ai/claude-agent-sdk/sdk.js"
    const code = `import type { Options } from "${path}"
import { guardHooks, mergeHooks } from "serin/adapters/claude-agent-sdk"
import type { Guard } from "serin"
declare const guard: Guard
declare const theirs: Options["hooks"]
const options: Options[] = [
  { hooks: guardHooks(guard) },
  { hooks: mergeHooks(theirs, guardHooks(guard)) },
  { hooks: mergeHooks({ Stop: [{ hooks: [async (input) => ({ systemMessage: input.session_id })] }] }, guardHooks(guard)) },
]
// @ts-expect-error: and it would not take just anything
const wrong: Options = { hooks: { PreToolUse: [{ hooks: ["no hook"] }] } }
`
    const root = fileURLToPath(new URL("../../", import.meta.url)).replaceAll("\\", "/")
    const asked = {
      framework: "claude-agent-sdk",
      from: PACKAGE,
      typescript: true,
      rollout: "r",
      releases: "s",
    } as const
    const starter = starterCode(asked).replace(`"${PACKAGE}"`, `"${path}"`)
    const blocks = Object.entries({ hooks: code, starter })
    expect(starter).toContain(path)
    expect(
      compileBlocks(
        root,
        blocks.map(([path, text]) => ({ path, line: 1, language: "ts", note: "", code: text })),
      ),
    ).toEqual([])
  })

  starterTests(
    "the Claude Agent SDK",
    [PACKAGE],
    async ({ hooksOf }) => {
      const { PreToolUse } = (hooksOf as (conversation: string) => GuardHooks)("conversation-1")
      const told = ["A1 was delivered, 80 were paid", "refunded 40 for A1"]
      const texts: string[] = []
      for (const [i, { tool, input }] of ASKED.entries()) {
        const asked = { hook_event_name: "PreToolUse", session_id: OWN, tool_name: `mcp__shop__${tool}` }
        const call = { ...asked, tool_input: input, tool_use_id: `${i}` }
        const answer = await PreToolUse[0]!.hooks[0]!(call, `${i}`, { signal: new AbortController().signal })
        const { hookSpecificOutput: output } = answer as { hookSpecificOutput?: { permissionDecisionReason: string } }
        // No opinion: the tool runs.
        texts.push(output?.permissionDecisionReason ?? told.shift() ?? "")
      }
      return texts
    },
    fileURLToPath(new URL("node_modules", import.meta.url)),
  )

  it("runs a tool whose hook throws, which is why ours never does", async () => {
    const throwing = { PreToolUse: [{ hooks: [async () => Promise.reject(new Error("oops"))] }] }
    expect((await run({ hooks: throwing, turns: calls("read") })).ran).toEqual(["read: a"])
    const both = mergeHooks<HookMap>(throwing, guardHooks(contractGuard().guard, MCP))
    expect((await run({ hooks: both, turns: calls("erase") })).ran).toEqual([])
  })

  it("lets a denial stand beside a hook that allows, and asks nobody else's server", async () => {
    const allow = { hookSpecificOutput: { hookEventName: "PreToolUse", permissionDecision: "allow" } }
    const hooks = mergeHooks<HookMap>(guardHooks(contractGuard().guard, MCP), {
      PreToolUse: [{ hooks: [async () => allow] }],
    })
    const { ran, read, strays } = await run({ hooks, turns: calls("erase") })
    expect({ ran, strays }).toEqual({ ran: [], strays: [] })
    expect(read[0]).toContain(REASONS.erase)
  })

  it("denies an escalated call where there is no canUseTool, under bypassPermissions too", async () => {
    const { guard, events } = contractGuard()
    const options = { permissionMode: "bypassPermissions", allowDangerouslySkipPermissions: true }
    const { ran, read } = await run({ hooks: guardHooks(guard, MCP), turns: calls("pay"), options })
    expect(ran).toEqual([])
    expect(read[0]).toContain(REASONS.pay)
    expect(events).toContainEqual(expect.objectContaining({ type: "escalation", approved: false }))
  })

  it("does not run a call that was not judged in time", async () => {
    const { guard } = contractGuard()
    const hooks = guardHooks(guard, { ...MCP, escalate: () => new Promise(() => {}), timeoutMs: 1000 })
    expect((await run({ hooks, turns: calls("pay") })).ran).toEqual([])
  })

  it("tells its session's id to the hooks", async () => {
    const { guard, sessions } = contractGuard()
    const { sessionId } = await run({ hooks: guardHooks(guard, MCP), turns: calls("read", "read") })
    expect(sessions).toEqual([sessionId, sessionId])
  })

  describe("withholds what a built-in tool answers", () => {
    const bash = (command: string) => [[{ tool: "Bash", input: { command, description: "prints" } }]]
    const options = { tools: ["Bash"], allowedTools: ["Bash"] }
    const hooks = () => guardHooks(contractGuard().guard, { scanOutput: true })

    it("in its own form", async () => {
      const { read, ended } = await run({ hooks: hooks(), turns: bash("printf 'sec''ret'"), options })
      expect(read[0]).toMatch(/not allow its output/)
      expect(read[0]).not.toContain("secret")
      expect(ended).toBe("completed")
    })

    it("and stops where another hook puts it back, and where it stands in an error", async () => {
      const back = {
        hookEventName: "PostToolUse",
        updatedToolOutput: { stdout: "secret", stderr: "", interrupted: false },
      }
      const restoring = { PostToolUse: [{ hooks: [async () => ({ hookSpecificOutput: back })] }] }
      const restored = { hooks: mergeHooks<HookMap>(hooks(), restoring), turns: bash("printf 'sec''ret'"), options }
      const failed = { hooks: hooks(), turns: bash("printf 'sec''ret' >&2; exit 3"), options }
      for (const agent of [restored, failed]) {
        const { read, ended } = await run(agent)
        expect({ read, ended }).toEqual({ read: [], ended: "hook_stopped" })
      }
    })
  })
})
