import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { fileURLToPath } from "node:url"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { isSerinError } from "../../src/errors.js"
import type { DecisionLogEntry } from "../../src/model/decision-entry.js"
import { parseCalls, readCalls, recordedCalls } from "../../src/testing/calls.js"
import { replaySessions } from "../../src/testing/traffic.js"
import { LOG_ENTRY } from "./log-entry.js"
import { sharedIsThere, sharedPath, skipNote } from "../shared.js"

const parse = (text: string) => parseCalls(text, { path: "calls.jsonl" })
const LINE = '{"session":"s","turn":1,"tool":"calculate","input":{"x":1},"output":"2"}'

function problemsOf(text: string): string[] {
  try {
    parse(text)
  } catch (error) {
    if (!isSerinError(error) || error.code !== "CALLS_INVALID") throw error
    return error.problems.map(({ where, message }) => `${where}: ${message}`)
  }
  throw new Error("the calls were accepted")
}

describe("a decision log", () => {
  const entry = (id: string, differs: object) => ({ ...LOG_ENTRY, id, ...differs }) as DecisionLogEntry
  const side = { release: "1", outcome: "deny" as const, durationMs: 1 }
  const entries = [
    entry("1", {}),
    entry("2", { sessionId: null, startedAt: null }),
    entry("3", { kind: "pair", of: "1", stable: side, canary: side }),
    entry("4", { call: { action: "look", principal: { id: 1 }, resource: "r" } }),
    entry("5", { call: null }),
    entry("1", {}),
  ]
  const calls = [
    { session: "s", tool: "refund", input: { amount: 5 } },
    { session: "s", tool: "look", input: undefined, principal: { id: 1 }, resource: "r" },
  ]

  it("gives its calls, each once, and nothing that is no call of a session", async () => {
    expect(await recordedCalls(entries)).toEqual(calls)
  })

  it("is read by parseCalls line by line, and a bad line is named", () => {
    const lines = entries.slice(0, 5).map((one) => JSON.stringify(one))
    expect(parse([...lines, LINE].join("\n")).map(({ tool }) => tool)).toEqual(["refund", "look", "calculate"])
    expect(problemsOf(JSON.stringify({ format: "serin/decision/1", kind: "decision" }))[0]).toMatch(
      /^calls.jsonl:1: a decision has no valid `id`/,
    )
  })

  it("plays its calls with all that they had", async () => {
    const [, look] = await recordedCalls(entries)
    const options = { seed: 1, sessionsPerMinute: 1, startAt: 0, meanGapMs: 1 }
    expect(replaySessions([look!], options).next().value.call).toEqual({
      action: "look",
      principal: { id: 1 },
      resource: "r",
    })
  })
})

describe("readCalls", () => {
  const line = (session: string) => `{"session":"${session}","tool":"t","input":1}\n`

  it("reads what was rotated away from a file before the file, packed or not, and nothing beside it", async () => {
    const dir = await mkdtemp(join(tmpdir(), "serin-calls-"))
    const path = join(dir, "calls.jsonl")
    await writeFile(`${path}.10`, line("oldest"))
    await writeFile(`${path}.2.gz`, gzipSync(line("older")))
    await writeFile(`${path}.1`, line("old"))
    await writeFile(path, line("new"))
    await writeFile(`${path}.bak`, "no call")
    expect((await readCalls(path)).map(({ session }) => session)).toEqual(["oldest", "older", "old", "new"])
    await writeFile(`${path}.1`, `${line("old")}{}\n`)
    await expect(readCalls(path)).rejects.toThrow(`${path}.1:2: \`session\` must be a text`)
    await expect(readCalls(dir)).rejects.toThrow("cannot be read: it is a folder; name a file")
    await rm(dir, { recursive: true })
  })
})

describe("parseCalls", () => {
  it("reads one call a line", () => {
    expect(parse(`${LINE}\n{"session":"t","tool":"think","input":null}\n`)).toEqual([
      { session: "s", turn: 1, tool: "calculate", input: { x: 1 }, output: "2" },
      { session: "t", tool: "think", input: null },
    ])
  })

  it("passes over blank lines, a byte order mark, carriage returns and further keys", () => {
    const text = `\uFEFF${LINE}\r\n\r\n   \n{"session":"t","tool":"think","input":1,"model":"x"}`
    expect(parse(text)).toEqual([
      { session: "s", turn: 1, tool: "calculate", input: { x: 1 }, output: "2" },
      { session: "t", tool: "think", input: 1 },
    ])
  })

  it("reads back what was written, whatever the JSON", () => {
    const call = fc.record(
      {
        session: fc.string({ minLength: 1 }),
        turn: fc.integer(),
        tool: fc.string({ minLength: 1 }),
        input: fc.jsonValue(),
        output: fc.jsonValue(),
      },
      { requiredKeys: ["session", "tool", "input"] },
    )
    fc.assert(
      fc.property(fc.array(call, { minLength: 1 }), (calls) => {
        const lines = calls.map((one) => JSON.stringify(one))
        expect(parse(lines.join("\n"))).toEqual(lines.map((line) => JSON.parse(line) as unknown))
      }),
    )
  })

  it("names every bad line, and all that is wrong with it", () => {
    expect(
      problemsOf(
        [
          LINE,
          '{"session":"","turn":"1","tool":7}',
          "[]",
          "",
          "null",
          '{"session":"s","tool":"","input":{}}',
          LINE,
          '{"tool":"x","input":1}',
        ].join("\n"),
      ),
    ).toEqual([
      "calls.jsonl:2: `session` must be a text that is not empty; `turn` must be a number; `tool` must be a text that is not empty; `input` is missing",
      "calls.jsonl:3: is no object",
      "calls.jsonl:5: is no object",
      "calls.jsonl:6: `tool` must be a text that is not empty",
      "calls.jsonl:8: `session` must be a text that is not empty",
    ])
    expect(problemsOf(`${LINE}\n{"session": `)).toEqual([expect.stringMatching(/^calls.jsonl:2: is no JSON: /)])
  })

  it.each([
    ['{"session":"s","action":"refund","input":1}', "`tool` is missing; did you mean it by `action`?"],
    ['{"sessionId":"s","tool":"t","input":1}', "`session` is missing; did you mean it by `sessionId`?"],
    ['{"session":"s","tool":"t","arguments":{}}', "`input` is missing; did you mean it by `arguments`?"],
    ['{"session":"s","tol":"t","input":{}}', "`tool` is missing; did you mean it by `tol`?"],
  ])("names the key that a field may go by: %s", (line, problem) => {
    expect(problemsOf(`${LINE}\n${line}`)).toEqual([`calls.jsonl:2: ${problem}`])
  })

  it("lists twenty bad lines, then counts", () => {
    const problems = problemsOf(`${LINE}\n${"x\n".repeat(33)}`)
    expect(problems).toHaveLength(21)
    expect(problems[19]).toMatch(/^calls.jsonl:21: /)
    expect(problems[20]).toBe("calls.jsonl: and 13 more bad lines")
    expect(problemsOf("x\n".repeat(20))).toHaveLength(20)
  })

  it("refuses a file without calls", () => {
    for (const text of ["", "\n \n", "\uFEFF"]) expect(problemsOf(text)).toEqual(["calls.jsonl: has no calls"])
  })

  it("takes no inherited key for a call's own", () => {
    expect(problemsOf('{"__proto__":{"session":"s","tool":"t","input":1}}')).toHaveLength(1)
  })

  it("never fails on any text but with a SerinError", () => {
    const soup = fc.array(
      fc.constantFrom(LINE, "\n", "{", "}", '"session":', '"s"', ",", "null", "\u2028", "\r", "__proto__"),
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
          soup.map((parts) => parts.join("")),
        ),
        (text) => {
          try {
            expect(parse(text).length).toBeGreaterThan(0)
          } catch (error) {
            if (!isSerinError(error)) throw error
          }
        },
      ),
    )
  })
})

describe("readCalls", () => {
  it("reads a file, and names it in problems", async () => {
    const directory = await mkdtemp(join(tmpdir(), "serin-calls-"))
    const path = join(directory, "calls.jsonl")
    try {
      await writeFile(path, LINE)
      expect(await readCalls(path)).toHaveLength(1)
      await writeFile(path, Buffer.from([0x7b, 0xff]))
      await expect(readCalls(path)).rejects.toMatchObject({
        code: "CALLS_INVALID",
        message: `${path}: cannot be read: it is not UTF-8`,
      })
      await rm(path)
      await expect(readCalls(path)).rejects.toThrow(`${path}: cannot be read: there is no such file`)
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  skipNote(1, "recorded tool calls")
  it.skipIf(!sharedIsThere)("reads a thousand calls of a real agent", async () => {
    const calls = await readCalls(sharedPath("data/tau-airline-toolcalls.jsonl"))
    expect(calls).toHaveLength(1164)
    expect(new Set(calls.map(({ session }) => session)).size).toBe(182)
  })
})

describe("examples/demo/calls.jsonl", () => {
  const path = fileURLToPath(new URL("../../examples/demo/calls.jsonl", import.meta.url))

  it("is a sample of some sixty sessions that book, cancel and now and then send a certificate", async () => {
    const calls = await readCalls(path)
    const sessions = new Set(calls.map(({ session }) => session))
    const shareWith = (tool: string) =>
      new Set(calls.filter((call) => call.tool === tool).map(({ session }) => session)).size / sessions.size
    expect(sessions.size).toBe(60)
    expect(calls.length).toBeGreaterThan(300)
    expect(calls.length).toBeLessThan(400)
    expect(shareWith("cancel_reservation")).toBeGreaterThanOrEqual(0.25)
    expect(shareWith("cancel_reservation")).toBeLessThanOrEqual(0.3)
    expect(shareWith("send_certificate")).toBeGreaterThanOrEqual(0.06)
    expect(shareWith("send_certificate")).toBeLessThanOrEqual(0.1)
    for (const { tool, input } of calls) {
      if (tool === "cancel_reservation")
        expect((input as Record<string, unknown>).reservation_id).toMatch(/^[A-Z0-9]{6}$/)
    }
  })
})
