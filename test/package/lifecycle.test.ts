import { execFile } from "node:child_process"
import { cp, mkdtemp, rm, symlink } from "node:fs/promises"
import { existsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const run = promisify(execFile)
const root = fileURLToPath(new URL("../..", import.meta.url))
const DIST = pathToFileURL(join(root, "dist/index.js")).href
/** What an output of the process itself may hold. */
const OUTPUT = ["PipeWrap", "TTYWrap", "PipeConnectWrap"]

let dir = ""

beforeAll(async () => {
  if (!existsSync(join(root, "dist"))) throw new Error("dist/ is missing: run `npm run build` first")
  dir = await mkdtemp(join(tmpdir(), "serin-lifecycle-"))
})

afterAll(async () => {
  if (dir !== "") await rm(dir, { recursive: true, force: true })
})

/** Run a program that must end by itself, and read the one line that it prints. */
async function program<T>(file: string, args: readonly string[], node: readonly string[] = []): Promise<T> {
  const path = fileURLToPath(new URL(`fixtures/${file}`, import.meta.url))
  const { stdout } = await run(process.execPath, [...node, path, DIST, ...args], { timeout: 30_000 })
  return JSON.parse(stdout) as T
}

describe("a process that embeds a rollout", () => {
  interface Left {
    readonly outcomes: readonly string[]
    readonly handles: readonly string[]
  }

  it.each(["leave", "close"])("ends by itself after it did %s, and nothing of serin keeps it alive", async (how) => {
    const startedAt = performance.now()
    const { outcomes, handles } = await program<Left>("leaves.mjs", [join(dir, how), how])
    expect(outcomes).toEqual(["allow", "escalate"])
    const keeping = handles.filter((handle) => !OUTPUT.includes(handle))
    // What is under way ends by itself: a file that is being read or written, and, without close, a comparison.
    expect(
      keeping.filter((handle) => !(how === "close" ? /^FSReq|^CloseReq/ : /^FSReq|^CloseReq|^Immediate/).test(handle)),
    ).toEqual([])
    console.log(`${how}: ended within ${Math.round(performance.now() - startedAt)} ms`)
  })
})

describe("one rollout in many places", () => {
  interface Crew {
    readonly own: string
    readonly before: readonly string[]
    readonly after: readonly string[]
    readonly codes: readonly number[]
    readonly killMs: number
  }

  it.each(["fork", "cluster", "threads"])("has one arm a session, and one kill reaches all: %s", async (how) => {
    const { own, before, after, codes, killMs } = await program<Crew>("crew.mjs", [join(dir, how), how])
    expect(new Set([own, ...before]).size).toBe(1)
    expect(new Set(own)).toEqual(new Set(["s", "c"]))
    expect(after).toEqual(before.map((arms) => arms.replaceAll("c", "s")))
    expect(codes).toEqual([0, 0, 0])
    expect(killMs).toBeLessThan(8000)
    console.log(`${how}: the kill was in force everywhere after ${killMs} ms`)
  })
})

describe("two copies of the library in one process", () => {
  it("add up in one provider, and know each other's errors", async () => {
    const other = join(dir, "copy")
    await cp(join(root, "dist"), join(other, "dist"), { recursive: true })
    await cp(join(root, "package.json"), join(other, "package.json"))
    await symlink(join(root, "node_modules"), join(other, "node_modules"), "dir")
    const found = await program("copies.mjs", [pathToFileURL(join(other, "dist/index.js")).href])
    expect(found).toEqual({
      copies: true,
      scopes: ["serin"],
      evaluations: 47,
      sessions: 14,
      durations: 47,
      known: true,
      isInstance: false,
      code: "SESSION_ID_INVALID",
      requiredIsImported: true,
    })
  })
})

describe("guards that are made and closed", () => {
  interface Many {
    readonly made: number
    readonly freed: number
    readonly grownBytes: number
    readonly listeners: number
    readonly processListeners: number
    readonly handles: readonly string[]
  }

  it("leave no listener, no timer and no memory, as in one process for many test files", async () => {
    const many = await program<Many>("many.mjs", [join(dir, "many"), "200"], ["--expose-gc"])
    const few = await program<Many>("many.mjs", [join(dir, "few"), "1"], ["--expose-gc"])
    expect(many.listeners).toBe(0)
    expect(many.handles.filter((handle) => !OUTPUT.includes(handle))).toEqual([])
    expect(many.processListeners).toBe(few.processListeners)
    expect(many.freed).toBeGreaterThanOrEqual(many.made - 2)
    // One guard holds 3 MB and more.
    expect(many.grownBytes).toBeLessThan(8e6)
    console.log(`${many.freed} of ${many.made} guards freed, ${Math.round(many.grownBytes / 1000)} KB more`)
  })
})
