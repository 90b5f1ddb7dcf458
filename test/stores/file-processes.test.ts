import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { readdirSync } from "node:fs"
import { createInterface } from "node:readline"
import { describe, expect, it } from "vitest"
import { fileStore } from "../../src/stores/file.js"
import { bundled } from "../bundled.js"
import { scratch } from "./folder.js"

const path = scratch()
const program = bundled("test/stores/writer.ts", "test/stores/watcher.ts")

function run(script: string, ...args: string[]): ChildProcess {
  return spawn(process.execPath, [program(script), ...args], { stdio: ["ignore", "pipe", "inherit"] })
}

async function linesOf(child: ChildProcess): Promise<string[]> {
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout! })) lines.push(line)
  return lines
}

const allRevisions = async (dir: string) => {
  const found: [number, string][] = []
  for await (const { revision, envelope } of fileStore({ dir }).history("r/count")) found.push([revision, envelope])
  return found
}
const countedTo = (n: number) => Array.from({ length: n }, (_, i): [number, string] => [n - i, String(n - i)])

describe("processes that share a folder", () => {
  it("lose no update and win no revision twice", { timeout: 60_000 }, async () => {
    const dir = path("shared")
    const children = Array.from({ length: 4 }, () => run("writer.ts", dir, "r/count", "50"))
    const wins = (await Promise.all(children.map(linesOf))).flat().map(Number)
    expect(wins.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
    expect(await allRevisions(dir)).toEqual(countedTo(200))
  })

  it("go on where one was killed at any moment, with every revision whole", { timeout: 60_000 }, async () => {
    const dir = path("killed")
    for (let round = 0; round < 4; round++) {
      const child = run("writer.ts", dir, "r/count", "100000")
      const lines = createInterface({ input: child.stdout! })
      for (let seen = 0; seen < 5 + round; seen++) await once(lines, "line")
      child.kill("SIGKILL")
      await once(child, "exit")
    }
    const store = fileStore({ dir })
    const found = await store.get("r/count")
    const revision = found?.revision ?? 0
    expect(revision).toBeGreaterThanOrEqual(26)
    expect(await store.compareAndSet("r/count", revision, String(revision + 1))).toEqual({ ok: true })
    expect(await allRevisions(dir)).toEqual(countedTo(revision + 1))
    expect(readdirSync(path("killed", "r", "count")).filter((name) => name.endsWith(".json"))).toHaveLength(
      revision + 1,
    )
  })

  it("are told of each other's writes", { timeout: 60_000 }, async () => {
    const dir = path("told")
    const stop = new AbortController()
    const hinted = new Promise<unknown>((resolve) =>
      fileStore({ dir }).watch("r/count", resolve, { signal: stop.signal }),
    )
    const lines = linesOf(run("writer.ts", dir, "r/count", "1"))
    await hinted
    stop.abort()
    expect(await lines).toEqual(["1"])
  })

  it("are not kept alive by a watch", { timeout: 60_000 }, async () => {
    const dir = path("alive")
    await fileStore({ dir }).compareAndSet("r/count", 0, "1")
    const child = run("watcher.ts", dir, "r/count")
    const exit = once(child, "exit")
    expect(await linesOf(child)).toEqual(["watching"])
    expect(await exit).toEqual([0, null])
  })
})
