import { createHash } from "node:crypto"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { isSerinError } from "../../src/errors.js"
import { streamCalls, type CallStream } from "../../src/testing/call-stream.js"
import { parseCalls, type RecordedCall } from "../../src/testing/calls.js"
import { LOG_ENTRY } from "./log-entry.js"

let dir: string
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), "serin-calls-"))))
afterAll(() => rm(dir, { recursive: true, force: true }))

/** Many chunks of a file, with characters of several bytes across their borders. */
const LINES = Array.from({ length: 1800 }, (_, i) =>
  JSON.stringify({ session: `s${i}`, turn: i, tool: "look", input: { text: "ü€𝄞".repeat(i % 40) }, output: `${i}` }),
)
const ENTRY = { ...LOG_ENTRY, call: { ...LOG_ENTRY.call, principal: { id: 1 } } }

async function written(content: string | Uint8Array, name = "calls.jsonl", digest = false): Promise<CallStream> {
  const path = join(dir, name)
  await writeFile(path, content)
  return streamCalls(path, { digest })
}

async function taken(stream: CallStream): Promise<{ calls: RecordedCall[]; problems: string[] }> {
  const calls: RecordedCall[] = []
  try {
    for await (const call of stream) calls.push(call)
  } catch (error) {
    if (!isSerinError(error) || error.code !== "CALLS_INVALID") throw error
    return {
      calls,
      problems: error.problems.map(({ where, message }) => `${where.replace(`${dir}/`, "")}: ${message}`),
    }
  }
  return { calls, problems: [] }
}

describe("recorded calls as a stream", () => {
  it("are what parseCalls gives, packed or not, and whatever a chunk ends in", async () => {
    const text = `\uFEFF${LINES.join("\r\n")}\n\n`
    const expected = JSON.stringify(parseCalls(text, { path: "calls.jsonl" }))
    const plain = await written(text, "calls.jsonl", true)
    expect(JSON.stringify((await taken(plain)).calls)).toBe(expected)
    expect(plain.bytes()).toBe(Buffer.byteLength(text))
    expect(plain.bytes()).toBeGreaterThan(2 ** 18)
    const packed = await written(gzipSync(text), "calls.jsonl.gz", true)
    expect(JSON.stringify((await taken(packed)).calls)).toBe(expected)
    const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`
    expect([plain.digest(), packed.digest()]).toEqual([digest, digest])
  })

  it("of a decision log are its calls, and half an entry at its end is passed over", async () => {
    const line = JSON.stringify(ENTRY)
    const sessionless = JSON.stringify({ ...ENTRY, sessionId: null, startedAt: null })
    const log = await written([sessionless, line, line.slice(0, 40)].join("\n"))
    const call = { session: "s", tool: "refund", input: { amount: 5 }, principal: { id: 1 } }
    expect(await taken(log)).toEqual({ calls: [call], problems: [] })
    expect(log.digest()).toBeNull()
  })

  it("name every bad line up to the twentieth, after the good ones, and half a line of what is no log", async () => {
    const bad = [...Array.from({ length: 25 }, () => "{"), LINES[0], '{"session":"", "tool":"x"']
    const { calls, problems } = await taken(await written(bad.join("\n")))
    expect(calls).toHaveLength(1)
    expect(problems).toHaveLength(21)
    expect(problems[0]).toMatch(/^calls.jsonl:1: is no JSON/)
    expect(problems[20]).toBe("calls.jsonl: and 6 more bad lines")
  })

  it("are refused where a line is endless, the file is none, is empty or is not UTF-8", async () => {
    const endless = `${LINES[0]}\n"${"x".repeat(2 ** 22 + 2 ** 19)}"\n${LINES[1]}`
    const found = await taken(await written(endless))
    expect(found.calls).toHaveLength(2)
    expect(found.problems).toEqual(["calls.jsonl:2: is longer than 4194304 characters"])
    expect((await taken(streamCalls(join(dir, "none")))).problems).toEqual([
      "none: cannot be read: there is no such file",
    ])
    expect((await taken(await written("\n \n"))).problems).toEqual(["calls.jsonl: has no calls"])
    expect((await taken(await written(Buffer.from([0x22, 0xff, 0x0a])))).problems).toEqual([
      "calls.jsonl: cannot be read: it is not UTF-8",
    ])
    expect((await taken(await written("no gzip", "calls.gz"))).problems).toEqual([
      "calls.gz: cannot be read: Z_DATA_ERROR",
    ])
  })
})
