import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { rulesEngine } from "../../src/engines/rules.js"
import { isSerinError } from "../../src/errors.js"
import { loadRelease } from "../../src/release/load.js"
import type { Release } from "../../src/release/ports.js"

const engines = [rulesEngine()]
const RULES = 'rules: [{ id: read, action: "get_*", effect: allow }]\n'
const context = { sessionId: "a", startedAt: 0 }

let root = ""
let count = 0
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), "serin-parts-"))))
afterAll(() => rm(root, { recursive: true, force: true }))

/** Load a release of which the manifest has these lines more. */
async function load(manifest: string, files: Readonly<Record<string, string>>): Promise<Release> {
  const dir = join(root, String(count++))
  await mkdir(dir)
  const all = { "release.yaml": `version: "1"\npolicy: { engine: rules }\n${manifest}`, "rules.yaml": RULES, ...files }
  await Promise.all(Object.entries(all).map(([name, text]) => writeFile(join(dir, name), text)))
  return loadRelease(dir, { engines })
}

const loadPack = (pack: unknown) =>
  load("scanners: [{ name: pii, patterns: pii.yaml }]", {
    "pii.yaml": typeof pack === "string" ? pack : JSON.stringify(pack),
  })
const loadThresholds = (thresholds: unknown) =>
  load("monitor: { thresholds: limits.yaml }", { "limits.yaml": JSON.stringify({ thresholds }) })

/** Problems as `file:line: message`. */
async function problemsOf(loading: Promise<unknown>): Promise<string[]> {
  const error: unknown = await loading.then(
    () => new Error("it was loaded"),
    (reason: unknown) => reason,
  )
  if (!isSerinError(error)) throw error
  expect(error.code).toBe("RELEASE_INVALID")
  return error.problems.map(({ where, message }) => `${where.replace(/^.*\//, "")}: ${message}`)
}

const card = { id: "card", category: "pii", pattern: "\\b\\d{13,16}\\b", redact: "[card]" }
const key = { id: "key", category: "secret", pattern: "sk-[a-z0-9]{8,}", result: "blocked", direction: "output" }

async function scan(patterns: readonly unknown[], text: string, direction: "input" | "output" = "output") {
  const [scanner] = (await loadPack({ patterns })).scanners ?? []
  return scanner!.scan(text, { ...context, direction })
}

describe("a pack of patterns", () => {
  it("is a scanner: flags or blocks, names what it saw by id and never by the text, and masks", async () => {
    expect(await scan([card, key], "pay 4111111111111111, 4111111111111111 now")).toEqual({
      result: "flagged",
      findings: [{ category: "pii", message: "card" }],
      redacted: "pay [card], [card] now",
    })
    expect(await scan([card, key], "sk-abcdef012345")).toEqual({
      result: "blocked",
      findings: [{ category: "secret", message: "key" }],
    })
    expect(await scan([card, key], "nothing")).toEqual({ result: "clean" })
  })

  it("looks for a pattern in texts of its direction alone, and is not run for others", async () => {
    expect(await scan([card, key], "sk-abcdef012345", "input")).toEqual({ result: "clean" })
    const { scanners } = await loadPack({ patterns: [key] })
    expect(scanners?.[0]).toMatchObject({ name: "pii", directions: ["output"] })
  })

  it("takes the flags of its pattern", async () => {
    expect(await scan([{ ...card, pattern: "^secret$", flags: "im" }], "a\nSECRET")).toMatchObject({
      result: "flagged",
    })
  })

  it("masks all that any pattern matched in the text as it came, also where they overlap", async () => {
    const patterns = ["a+b?", "b+"].map((pattern, i) => ({ id: `p${i}`, category: "pii", pattern, redact: "*" }))
    const [scanner] = (await loadPack({ patterns })).scanners ?? []
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "b", "c", "$&") }), (text) => {
        const { redacted = text } = scanner!.scan(text, { ...context, direction: "input" })
        expect(redacted).not.toMatch(/[ab]/)
        expect(redacted.replaceAll("*", "")).toBe(text.replace(/[ab]/g, ""))
      }),
      { numRuns: 50 },
    )
  })

  it("masks before each place that a pattern without a character of its own matches, also among characters of two units", async () => {
    const patterns = [{ id: "p", category: "pii", pattern: "(?=[b\u{1f600}])", redact: "*" }]
    const [scanner] = (await loadPack({ patterns })).scanners ?? []
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "b", "\u{1f600}") }), (text) => {
        const { redacted = text } = scanner!.scan(text, { ...context, direction: "input" })
        expect(redacted).toBe(text.replace(/(?=[b\u{1f600}])/gu, "*"))
      }),
      { numRuns: 50 },
    )
  })

  it("is ready for its first text, of whatever characters: no compiling is left to the limit of a scan", async () => {
    const letters = String.raw`[\p{L}\p{N}]`
    const patterns = Array.from({ length: 15 }, (_, i) => {
      return {
        id: `p${i}`,
        category: "secret",
        pattern: `(?<!${letters})key${i}${letters}{16,64}(?!${letters})`,
        flags: "i",
      }
    })
    const before = performance.now()
    const { scanners } = await loadPack({ timeout_ms: 10_000, patterns })
    const loading = performance.now() - before
    for (const text of ["plain", "na\u00efve \u2713"]) {
      const began = performance.now()
      expect(scanners![0]!.scan(text, { ...context, direction: "input" })).toEqual({ result: "clean" })
      // Compiling is nearly all of loading; looking for them takes less than a hundredth of it.
      expect(performance.now() - began).toBeLessThan(loading / 10)
    }
  })

  it("with a pattern that backtracks without end is ended at its limit, and goes on", async () => {
    const slow = { id: "slow", category: "pii", pattern: "^([a-z]+)+$" }
    const { scanners } = await loadPack({ timeout_ms: 100, patterns: [slow] })
    const evil = `${"a".repeat(60)}!`
    const at = { ...context, direction: "input" } as const
    for (const _ of ["once", "again"]) expect(() => scanners![0]!.scan(evil, at)).toThrow("no answer within 100 ms")
    expect(scanners![0]!.scan("fine", at)).toMatchObject({ result: "flagged" })
  })

  it("is refused with every problem at its line", async () => {
    const pack = `timeout_ms: 0
patterns:
  - { id: a, category: pii, pattern: "(" }
  - { id: a, category: pii, pattern: "x", flags: g }
  - { id: "b b", category: "p i", pattern: "x*", result: flag, direction: out }
  - { id: c, category: pii, pattern: "x", redact: "${"x".repeat(101)}", when: now }
  - { id: d, category: pii }
  - { id: e, category: pii, pattern: "${"x".repeat(2001)}" }
`
    const problems = await problemsOf(loadPack(pack))
    expect(problems.map((text) => /^pii\.yaml:(\d+):\d+: (.{0,44})/.exec(text)?.slice(1).join(" "))).toEqual([
      "1 `timeout_ms` must be a whole number from 1 t",
      "3 pattern `a`: `pattern` cannot be used: Inval",
      "4 pattern `a` is there twice",
      "4 pattern `a`: `flags` may have `i`, `m` and `",
      "5 pattern `b b`: `id` has other characters or ",
      "5 pattern `b b`: `category` has other characte",
      "5 pattern `b b`: `pattern` matches the empty t",
      "5 pattern `b b`: `result` is the unknown `flag",
      "5 pattern `b b`: `direction` is the unknown `o",
      "6 pattern `c`: `redact` is longer than 100 cha",
      "6 the pattern has the unknown key `when`",
      "7 pattern `d` has no `pattern`",
      "8 pattern `e`: `pattern` is longer than 2000 c",
    ])
    expect(await problemsOf(loadPack({ patterns: [] }))).toHaveLength(1)
    expect(await problemsOf(loadPack({ patterns: Array.from({ length: 501 }, () => card) }))).toContainEqual(
      expect.stringContaining("more than 500 patterns"),
    )
  })
})

describe("thresholds", () => {
  const limits = [
    { alert: "large_refund", event: "refund", field: "input.amount", above: 500 },
    { alert: "many_refunds", event: "refund", total_above: 2 },
    { alert: "much_money", event: "refund", field: "input.amount", total_above: 700 },
    { alert: "low_score", field: "score", below: 0.5 },
  ]
  const refund = (amount: number) => ({ type: "refund", input: { amount }, score: 1 })

  async function watch(events: readonly unknown[], sessionId = "a") {
    const { monitor } = await loadThresholds(limits)
    return events.map((event) => monitor!.observe(event, { ...context, sessionId }).map(({ name }) => name))
  }

  it("raise an alert for each event beyond them: by itself, by number, and by what adds up in the session", async () => {
    expect(await watch([refund(500), refund(200), refund(501), { type: "other", score: 0.4 }])).toEqual([
      [],
      [],
      ["large_refund", "many_refunds", "much_money"],
      ["low_score"],
    ])
    const { monitor } = await loadThresholds(limits)
    const alerts = ["a", "b", "c", "d"].map((sessionId) => monitor!.observe(refund(400), { ...context, sessionId }))
    expect(alerts.flat()).toEqual([])
    expect((await loadThresholds(limits)).monitor?.observe(refund(501), context)).toEqual([
      { name: "large_refund", message: "input.amount above 500" },
    ])
  })

  it("count events that are texts", async () => {
    const { monitor } = await loadThresholds([{ alert: "tries", event: "login", total_above: 1 }])
    const observe = (event: unknown) => monitor!.observe(event, context).length
    expect(["login", "logout", "login", { type: "login" }, 7, null].map(observe)).toEqual([0, 0, 1, 1, 0, 0])
  })

  it("that miss their number are an error of the monitor, and count nothing", async () => {
    const { monitor } = await loadThresholds(limits)
    const inherited = Object.create({ input: { amount: 1 } }) as object
    for (const event of [
      { type: "refund", score: 1 },
      { type: "refund", input: { amount: "9" }, score: 1 },
      inherited,
      1,
    ]) {
      expect(() => monitor!.observe(event, context)).toThrow("has no number at")
    }
    expect([1, 2].flatMap(() => monitor!.observe(refund(1), context))).toEqual([])
  })

  it("are refused with every problem", async () => {
    const wrong = [
      { alert: "a b", event: "x", total_above: 1 },
      { alert: "b", above: 1 },
      { alert: "c", field: "a..b", above: 1 },
      { alert: "d", field: "a", above: 1, below: 2 },
      { alert: "e", field: "a" },
      { alert: "f", field: "a", above: "1" },
      { event: "x", total_above: 1 },
    ]
    expect(await problemsOf(loadThresholds(wrong))).toHaveLength(wrong.length)
    expect(await problemsOf(loadThresholds([]))).toHaveLength(1)
  })

  it("fail for a total beyond all numbers, and go on counting", async () => {
    const { monitor } = await loadThresholds([{ alert: "sum", event: "pay", field: "amount", total_above: 10 }])
    const pay = (amount: number) => monitor!.observe({ type: "pay", amount }, context).length
    expect([pay(-Number.MAX_VALUE)]).toEqual([0])
    expect(() => pay(-Number.MAX_VALUE)).toThrow("the total is beyond all numbers")
    expect([pay(Number.MAX_VALUE), pay(11)]).toEqual([0, 1])
  })
})

describe("the manifest", () => {
  it.each([
    ["scanners: []", "there is no scanner"],
    ["scanners: {}", "must be a list"],
    ["scanners: [{ name: a }]", "has no `patterns`"],
    ["scanners: [{ patterns: p.yaml }]", "has no `name`"],
    ['scanners: [{ name: "a b", patterns: p.yaml }]', "`name` has other characters"],
    ["scanners: [{ name: a, patterns: p.yaml }, { name: a, patterns: p.yaml }]", "is there twice"],
    ["scanners: [{ name: a, patterns: ../p.yaml }]", "is no plain path"],
    ["monitor: { threshold: p.yaml }", "unknown key `threshold`"],
    ["monitor: { thresholds: gone.yaml }", "is missing"],
  ])("refuses %s", async (manifest, message) => {
    const problems = await problemsOf(load(manifest, { "p.yaml": JSON.stringify({ patterns: [card] }) }))
    expect(problems.join("\n")).toContain(message)
  })

  it("makes packs and thresholds part of the digest", async () => {
    const digests = await Promise.all(
      [[card], [card], [card, key]].map(async (patterns) => (await loadPack({ patterns })).digest),
    )
    expect(digests[0]).toBe(digests[1])
    expect(digests[0]).not.toBe(digests[2])
  })
})
