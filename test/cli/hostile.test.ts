import * as fc from "fast-check"
import { beforeEach, describe, expect, it } from "vitest"
import { plain, renderLine, table } from "../../src/cli/printer.js"
import { useBench } from "./harness.js"
import { verdictOf } from "../rollout/states.js"

const bench = useBench()
/** Clears the screen, writes the clipboard, sets the title, goes up, turns text around, and forges a line. */
const ATTACK =
  "ok\u001b[2J\u001b]52;c;aGk=\u0007\u009b1A\u001b[31m\u202egnihton\nrefund-agent: promoted\r\u2028x\u0000\u007f"
// oxlint-disable-next-line no-control-regex
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/

beforeEach(async () => {
  await bench().serin("init")
  await bench().serin("start", "--reason", ATTACK, "--by", ATTACK)
  await bench().serin("pause", "--reason", ATTACK)
})

describe("what the state and the report hold", () => {
  it.each([["status"], ["history"], ["explain"], ["watch"], ["resume"]])(
    "never reaches the terminal of %s but as text",
    async (verb) => {
      const verdict = { ...verdictOf("inconclusive"), reason: ATTACK }
      const side = { outcome: "allow", rule: ATTACK } as const
      await bench().report({
        verdict,
        problem: ATTACK,
        diffs: [{ action: ATTACK, stable: side, canary: side, calls: 1 }],
      })
      const ended = new AbortController()
      const stdout: string[] = []
      const write = (text: string): void => {
        stdout.push(text)
        ended.abort()
      }
      const { err } = await bench().serinWith(
        { signal: verb === "watch" ? ended.signal : new AbortController().signal, stdout: { write } },
        verb,
      )
      const out = stdout.join("")
      expect(out).not.toBe("")
      expect(out).not.toMatch(OBEYED)
      expect(out).not.toMatch(/^refund-agent: promoted/m)
      expect(err).toBe("")
    },
  )

  it("is whole in the documents of --json, and no character of them is obeyed", async () => {
    const { out } = await bench().serin("status", "--json")
    expect(out.trimEnd()).not.toMatch(OBEYED)
    expect(JSON.parse(out)).toMatchObject({ state: { last: { reason: ATTACK } } })
  })

  it("is stripped from error messages as well", async () => {
    const { err } = await bench().serin(`\u001b[2Jstart`)
    expect(err).not.toMatch(OBEYED)
  })

  it("an error in a key of the state is told without what a terminal obeys", async () => {
    await bench().writeRaw(JSON.stringify({ ...(await bench().state()), [ATTACK]: 1 }))
    const { code, err } = await bench().serin("status")
    expect(code).toBe(1)
    expect(err).not.toMatch(OBEYED)
  })
})

describe("the printer", () => {
  it("lets no text move the cursor or begin a line, whatever it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(plain(text)).not.toMatch(OBEYED)
        expect(plain(text)).not.toContain("\n")
      }),
    )
  })

  it("never writes wider than it is told, colour apart", () => {
    const text = fc.oneof(fc.string(), fc.record({ text: fc.string(), style: fc.constant("red" as const) }))
    fc.assert(
      fc.property(fc.array(text), fc.integer({ min: 1, max: 100 }), (line, columns) => {
        expect(renderLine(line, { colour: false, columns }).length).toBeLessThanOrEqual(columns)
      }),
    )
  })

  it("sets columns under each other", () => {
    const rows = table([
      ["a", "b", "c"],
      ["long", { text: "x", style: "red" }, "d"],
    ])
    expect(rows.map((row) => renderLine(row, { colour: false }))).toEqual(["a     b  c", "long  x  d"])
  })
})
