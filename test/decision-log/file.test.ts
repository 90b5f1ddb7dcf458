import { execFile } from "node:child_process"
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { gunzipSync } from "node:zlib"
import { afterEach, describe, expect, it, vi } from "vitest"
import { embed } from "serin"
import type { DecisionEntry, Release } from "serin"
import { decisionLogFile, readDecisionLog } from "serin/decision-log"
import type { DecisionLogFile, DecisionLogFileOptions } from "serin/decision-log"
import { recordedCalls } from "serin/testing"
import { bundled } from "../bundled.js"
import { harness, stateWith } from "../guard/harness.js"
import { scratch } from "../stores/folder.js"
import { LOG_ENTRY } from "../testing/log-entry.js"

const at = scratch()
const WRITER = "test/decision-log/writer.ts"
const program = bundled(WRITER)
const run = promisify(execFile)
let folders = 0
/** A path in a folder that is not there yet. */
const fresh = (): string => at(`log-${folders++}`, "decisions.jsonl")

const open: DecisionLogFile[] = []
afterEach(async () => {
  for (const log of open.splice(0)) await log.close()
})
async function logFile(options: DecisionLogFileOptions): Promise<DecisionLogFile> {
  const log = await decisionLogFile(options)
  open.push(log)
  return log
}

/** An entry of 1,000 bytes and some, in the decision log's order. */
const entry = (id: number, input: unknown = "x".repeat(1000)): DecisionEntry => ({
  ...LOG_ENTRY,
  id: `p-${id}`,
  outcome: "allow",
  call: { action: "a", input },
})

async function idsOf(path: string): Promise<string[]> {
  const ids: string[] = []
  for await (const { id } of readDecisionLog(path)) ids.push(id)
  return ids
}
const upTo = (count: number, from = 0): string[] => Array.from({ length: count - from }, (_, i) => `p-${from + i}`)
const modeOf = (path: string): number => statSync(path).mode & 0o777

describe("decisionLogFile", () => {
  it("writes one JSON object a line, into files and folders that are the owner's alone", async () => {
    const path = fresh()
    const log = await logFile({ path })
    await log.write([entry(0, 1), entry(1, { a: "ü" })])
    expect(readFileSync(path, "utf8")).toBe(`${JSON.stringify(entry(0, 1))}\n${JSON.stringify(entry(1, { a: "ü" }))}\n`)
    expect([modeOf(path), modeOf(join(path, ".."))]).toEqual([0o600, 0o700])
  })

  it.each([false, true])("rotates by size and keeps so many files, compressed: %s", async (compress) => {
    const path = fresh()
    const log = await logFile({ path, maxBytes: 3000, keep: 2, compress })
    for (let i = 0; i < 20; i++) await log.write([entry(i)])
    await log.close()
    const suffix = compress ? ".gz" : ""
    const names = [path, `${path}.1${suffix}`, `${path}.2${suffix}`]
    expect(
      readdirSync(join(path, ".."))
        .map((name) => join(path, "..", name))
        .toSorted(),
    ).toEqual(names)
    expect(names.map(modeOf)).toEqual([0o600, 0o600, 0o600])
    // Three entries a file: 18 and 19 in the last, and the six before them.
    expect(await idsOf(path)).toEqual(upTo(20, 12))
    if (compress) expect(gunzipSync(readFileSync(names[1]!)).toString()).toContain('"p-15"')
  })

  it("goes on behind what is there, and leaves a torn line to itself", async () => {
    const path = fresh()
    const first = await logFile({ path })
    await first.write([entry(0, 1)])
    await first.close()
    appendFileSync(path, '{"format":"serin/dec')
    const second = await logFile({ path })
    await second.write([entry(1, 1)])
    const problems: string[] = []
    const ids: string[] = []
    const onProblem = ({ where }: { where: string }) => void problems.push(where)
    for await (const { id } of readDecisionLog(path, { onProblem })) ids.push(id)
    expect([ids, problems]).toEqual([upTo(2), [`${path}:2`]])
  })

  it("keeps the order of batches that come at once", async () => {
    const path = fresh()
    const log = await logFile({ path, maxBytes: 5000, keep: 100 })
    await Promise.all(upTo(50).map((_, i) => log.write([entry(i)])))
    expect(await idsOf(path)).toEqual(upTo(50))
  })

  it("writes a call that is no JSON as far as it is", async () => {
    const path = fresh()
    const log = await logFile({ path })
    const circle: Record<string, unknown> = {}
    circle["self"] = circle
    const untouchable = {
      get action(): string {
        throw new Error("do not look at me")
      },
    }
    await log.write([entry(0, circle), entry(1, { big: 12n }), { ...entry(2), call: untouchable }])
    const lines = readFileSync(path, "utf8").split("\n")
    expect(JSON.parse(lines[0]!)).toMatchObject({ id: "p-0", call: { action: "a" }, incomplete: true })
    expect(JSON.parse(lines[1]!)).toMatchObject({ id: "p-1", call: { input: { big: "12" } } })
    expect(JSON.parse(lines[2]!)).toMatchObject({ id: "p-2", call: { action: "unknown" }, incomplete: true })
  })

  it("loses the entries at hand when the disk fails, and goes on when it is well", async () => {
    const path = fresh()
    const log = await logFile({ path, maxBytes: 1500, keep: 1 })
    // A folder in the way of the rotation.
    mkdirSync(join(`${path}.1`, "in-the-way"), { recursive: true })
    await log.write([entry(0)])
    await expect(log.write([entry(1)])).rejects.toThrow()
    await expect(log.write([entry(2)])).rejects.toThrow()
    rmSync(`${path}.1`, { recursive: true })
    await log.write([entry(3)])
    expect(await idsOf(path)).toContain("p-3")
    await log.close()
    await log.close()
    await expect(log.write([entry(4)])).rejects.toMatchObject({ code: "DECISION_LOG_UNAVAILABLE" })
  })

  it("tells of a file that cannot be opened, and keeps the cause", async () => {
    const folder = at("in-the-way")
    mkdirSync(join(folder, "x"), { recursive: true })
    const error: unknown = await decisionLogFile({ path: folder }).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: "DECISION_LOG_UNAVAILABLE", cause: expect.any(Error) as Error })
    expect((error as Error).message).toContain(folder)
  })

  it("explains a library that is missing, with the fix, and keeps the cause", async () => {
    vi.resetModules()
    vi.doMock("rotating-file-stream", () => {
      throw new Error("not installed")
    })
    const { decisionLogFile: without } = await import("../../src/decision-log/file.js")
    await expect(without({ path: fresh() })).rejects.toMatchObject({
      code: "LIBRARY_MISSING",
      message: expect.stringContaining("npm install rotating-file-stream") as string,
      cause: expect.any(Error) as Error,
    })
    vi.doUnmock("rotating-file-stream")
  })

  it.each([
    [{ path: "" }, TypeError, "path"],
    [{ path: "x", maxBytes: 0 }, RangeError, "maxBytes must be an integer of at least 1, got 0"],
    [{ path: "x", keep: 1.5 }, RangeError, "keep must be an integer of at least 1, got 1.5"],
  ])("refuses %o", async (options, type, message) => {
    const failure: unknown = await decisionLogFile(options).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(type)
    expect((failure as Error).message).toContain(message)
  })

  it("keeps no process alive, closed or not, and loses nothing that was written", { timeout: 30_000 }, async () => {
    for (const closing of ["closing", "leaving"]) {
      const path = fresh()
      await run(process.execPath, [program(WRITER), path, JSON.stringify(entry(0)), closing], { timeout: 20_000 })
      expect(await idsOf(path)).toEqual(["p-0"])
    }
  })
})

describe("readDecisionLog", () => {
  it("loses no entry to lines that are none, and names each by file and line", async () => {
    const path = fresh()
    mkdirSync(join(path, ".."))
    const good = (id: number) => JSON.stringify(entry(id, 1))
    const { rollout: _rollout, ...nameless } = entry(7)
    writeFileSync(`${path}.1`, `${good(0)}\nnonsense\n${good(1)}\n`)
    writeFileSync(
      path,
      [
        good(2),
        "",
        '{"format":"serin/decision/2"}',
        "[]",
        JSON.stringify({ ...entry(3), kind: "guess" }),
        JSON.stringify(nameless),
        good(4),
        "{",
      ].join("\n"),
    )
    const ids: string[] = []
    const reading = (async () => {
      for await (const { id } of readDecisionLog(path)) ids.push(id)
    })()
    await expect(reading).rejects.toMatchObject({
      code: "DECISION_LOG_INVALID",
      problems: [
        { where: `${path}.1:2`, message: expect.stringContaining("is no JSON") as string },
        { where: `${path}:3`, message: '`format` must be serin/decision/1, got "serin/decision/2"' },
        { where: `${path}:4`, message: "is no object" },
        { where: `${path}:5`, message: '`kind` must be decision, pair, scan, got "guess"' },
        { where: `${path}:6`, message: "a decision has no valid `rollout`" },
      ],
    })
    expect(ids).toEqual(["p-0", "p-1", "p-2", "p-4"])
  })

  it("names twenty problems and counts the rest", async () => {
    const path = fresh()
    mkdirSync(join(path, ".."))
    writeFileSync(path, "x\n".repeat(25))
    await expect(idsOf(path)).rejects.toMatchObject({
      problems: expect.objectContaining({ length: 21, 20: { where: path, message: "and 5 more problems" } }) as object,
    })
  })

  it("keeps no more of an endless line in memory than may be in one, and reads on behind it", async () => {
    const path = fresh()
    mkdirSync(join(path, ".."))
    const good = (id: number) => JSON.stringify(entry(id, 1))
    writeFileSync(path, `${good(0)}\n${"x".repeat(2 ** 23)}\n${good(1)}\n`)
    const problems: unknown[] = []
    const ids: string[] = []
    for await (const { id } of readDecisionLog(path, { onProblem: (problem) => problems.push(problem) })) ids.push(id)
    expect(ids).toEqual(["p-0", "p-1"])
    expect(problems).toEqual([{ where: `${path}:2`, message: `is longer than ${2 ** 22} characters` }])
  })

  it("takes a last line without its end when it is whole, and passes over half of one", async () => {
    for (const [end, ids] of [
      [JSON.stringify(entry(1, 1)), ["p-0", "p-1"]],
      [JSON.stringify(entry(1, 1)).slice(0, -1), ["p-0"]],
    ] as const) {
      const path = fresh()
      mkdirSync(join(path, ".."))
      writeFileSync(path, `${JSON.stringify(entry(0, 1))}\n${end}`)
      expect(await idsOf(path)).toEqual(ids)
    }
  })

  it("reads on behind a file that is broken, and says which it is", async () => {
    const path = fresh()
    const log = await logFile({ path, maxBytes: 1000, keep: 3, compress: true })
    for (let i = 0; i < 3; i++) await log.write([entry(i)])
    await log.close()
    const broken = `${path}.2.gz`
    writeFileSync(broken, readFileSync(broken).subarray(0, 40))
    const problems: string[] = []
    const ids: string[] = []
    const onProblem = ({ where, message }: { where: string; message: string }) =>
      void problems.push(`${where}: ${message}`)
    for await (const { id } of readDecisionLog(path, { onProblem })) ids.push(id)
    expect(ids).toEqual(["p-0", "p-2"])
    expect(problems).toEqual([expect.stringContaining(`${broken}: cannot be read to its end`)])
  })

  it("passes on what the listener of problems throws", async () => {
    const path = fresh()
    mkdirSync(join(path, ".."))
    writeFileSync(path, "x\n")
    const onProblem = (): never => {
      throw new Error("stop")
    }
    await expect(readDecisionLog(path, { onProblem }).next()).rejects.toThrow("stop")
  })

  it("fails for a log that is not there", async () => {
    await expect(idsOf(at("nowhere", "x"))).rejects.toMatchObject({ code: "DECISION_LOG_UNAVAILABLE" })
    await expect(idsOf(at("nothing"))).rejects.toMatchObject({ code: "DECISION_LOG_UNAVAILABLE" })
  })
})

describe("a decision log in a file", () => {
  it("has of an embedded rollout what the guard decided, when it is closed", async () => {
    const path = fresh()
    mkdirSync(join(path, ".."))
    chmodSync(join(path, ".."), 0o700)
    const rollout = join(path, "..", "rollout.yaml")
    const criteria = "acceptance_criteria: { deny_rate_delta_max: 0.02 }"
    writeFileSync(rollout, `rollout: demo\nstable: 1.0.0\ncanary: { release: 2.0.0, ${criteria} }\n`)
    const stable: Release = { version: "1.0.0", policy: { evaluate: () => "allow" } }
    const log = await logFile({ path })
    const guard = await embed({ rollout, releases: new Map([["1.0.0", stable]]), decisionLog: log })
    for (let i = 0; i < 1000; i++) guard.session(`s-${i % 7}`).evaluate({ action: `a-${i}`, input: i, principal: "p" })
    await guard.close()
    await log.close()
    const calls = await recordedCalls(readDecisionLog(path))
    expect(calls).toEqual(
      Array.from({ length: 1000 }, (_, i) => ({ session: `s-${i % 7}`, tool: `a-${i}`, input: i, principal: "p" })),
    )
  })

  it("leaves the host alone when the disk fails under it", async () => {
    const path = fresh()
    const log = await logFile({ path, maxBytes: 1, keep: 1 })
    mkdirSync(join(`${path}.1`, "in-the-way"), { recursive: true })
    const { guard } = harness({}, stateWith(), { decisionLog: log })
    for (let i = 0; i < 3; i++) {
      expect(guard.session("s").evaluate({ action: "a" }).outcome).toMatch(/allow|deny/)
      await guard.idle()
    }
    await guard.close()
  })
})
