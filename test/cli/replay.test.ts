import { describe, expect, it } from "vitest"
import { useBench } from "./harness.js"

const bench = useBench()
/** As in the hostile test: what a terminal would obey. */
const ATTACK = "ok\u001b[2J\u001b]52;c;aGk=\u0007\u009b1A\u202egnihton\nwithin every budget\r\u2028x\u0000\u007f"
// oxlint-disable-next-line no-control-regex
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/

const callOf = (i: number, more: object = {}) => ({
  session: `s${i % 12}`,
  tool: i % 5 === 0 ? "issue_refund" : "get_order",
  input: { amount: i * 10 },
  ...more,
})
const CALLS = Array.from({ length: 100 }, (_, i) => callOf(i))
/** The starter's canary denies refunds above 500, its stable above 1,000. */
const NEWLY = CALLS.filter(({ tool, input }) => tool === "issue_refund" && input.amount > 500).length

async function record(...calls: object[]): Promise<void> {
  await bench().serin("init")
  if (calls.length > 0) await bench().write("calls.jsonl", calls.map((call) => JSON.stringify(call)).join("\n"))
}

describe("serin replay", () => {
  it("takes releases and budgets from the rollout file, and exits with 9 when one is exceeded", async () => {
    await record(...CALLS)
    const { code, out, err } = await bench().serin("replay", "--calls", "calls.jsonl")
    expect(code).toBe(9)
    expect(err).toBe("")
    expect(out).toContain(`1.4.0 → 1.5.0: 100 calls of 12 sessions, ${NEWLY} (${NEWLY} %) answered otherwise\n`)
    expect(out).toMatch(/^ {2}allow +91 +9 +0 +0$/m)
    expect(out).toMatch(/^ {2}9 calls of \d+ sessions {2}issue_refund: allow by refund → deny by large-refund$/m)
    expect(out).toMatch(/^ {4}s\d+, call \d+: \{"amount":\d+\}\n {6}canary: Refunds are given up to 500$/m)
    expect(out).toMatch(/^ {2}newly_denied_rate_max +2 % +9 % .*over$/m)
    expect(out).toMatch(/^over: newly_denied_rate_max, deny_rate_delta_max$/m)
  })

  it("keeps to the budgets of its flags, in place of the file's or without a file", async () => {
    await record(...CALLS)
    const roomy = ["--newly-denied-max", "0.2"]
    const paths = ["--stable", "safety/releases/1.4.0", "--canary", "1.5.0.tgz"]
    await bench().serin("release", "pack", "safety/releases/1.5.0", "--out", "1.5.0.tgz")
    const within = await bench().json("replay", "--calls", "calls.jsonl", ...paths, ...roomy)
    expect(within.code).toBe(0)
    expect(within.doc).toMatchObject({
      format: "serin/replay/1",
      stable: { version: "1.4.0" },
      canary: { version: "1.5.0" },
      differing: NEWLY,
      budgets: [{ criterion: "newly_denied_rate_max", max: 0.2, measured: NEWLY / 100, result: "within" }],
      result: "within",
    })
    const both = await bench().json("replay", "--calls", "calls.jsonl", "--rollout", "safety/rollout.yaml", ...roomy)
    expect(both.code).toBe(9)
    expect(both.doc["budgets"]).toContainEqual(
      expect.objectContaining({ criterion: "newly_denied_rate_max", max: 0.2 }),
    )
    const swapped = ["--stable", "1.5.0", "--canary", "1.4.0", "--newly-allowed-max", "0"]
    expect((await bench().serin("replay", "--calls", "calls.jsonl", ...swapped)).code).toBe(9)
  })

  it("judges nothing without a budget, and says so", async () => {
    await record(...CALLS)
    const paths = ["--stable", "1.4.0", "--canary", "1.5.0"]
    const { code, out } = await bench().serin("replay", "--calls", "calls.jsonl", ...paths)
    expect(code).toBe(0)
    expect(out).toMatch(/no budget was named, so nothing was judged\n$/)
  })

  it("shows how far it is on a terminal alone, and leaves no trace of it", async () => {
    await record(...CALLS, ...CALLS)
    const { err, out } = await bench().serinWith({ stderrIsTTY: true }, "replay", "--calls", "calls.jsonl", "--json")
    const [before, shown, after] = err.split("\r\u001b[K")
    expect([before, after]).toEqual(["", ""])
    expect(shown).toMatch(/^[\d,]+ calls, 100 %, [\d,]+ a second$/)
    expect(JSON.parse(out)).toMatchObject({ calls: 200 })
  })

  it("says that it was ended by a signal, which is no failure of its own", async () => {
    await record(...CALLS)
    const { code, out, err } = await bench().serinWith(
      { signal: AbortSignal.abort() },
      "replay",
      "--calls",
      "calls.jsonl",
    )
    expect({ code, out, err }).toEqual({ code: 130, out: "", err: "serin replay: ended before it was done\n" })
  })

  it("lets nothing that was recorded reach the terminal but as text, in lines of 100 characters", async () => {
    const hostile = { session: ATTACK, tool: `issue_refund`, input: { amount: 700, note: ATTACK.repeat(20) } }
    const unknown = { session: ATTACK, tool: ATTACK.repeat(9), input: { amount: ATTACK } }
    await record(hostile, unknown, { ...hostile, input: { amount: ATTACK } })
    const { out, err } = await bench().serin("replay", "--calls", "calls.jsonl")
    expect(out + err).not.toMatch(OBEYED)
    expect(out).not.toMatch(/^within every budget/m)
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100)
    expect(out).toMatch(/^ {2}1 call of 1 session {2}policy of stable: throw in large-refund$/m)
    const { code, doc } = await bench().json("replay", "--calls", "calls.jsonl")
    expect(code).toBe(9)
    expect(doc).toMatchObject({ calls: 3 })
  })

  it("takes only releases that are signed, where it is given keys", async () => {
    await record(...CALLS)
    await bench().serin("release", "keygen", "key")
    for (const version of ["1.4.0", "1.5.0"]) {
      const { err } = await bench().serin("replay", "--calls", "calls.jsonl", "--keys", "key.pub")
      expect(err).toMatch(/^RELEASE_UNTRUSTED/)
      await bench().serin("release", "sign", `safety/releases/${version}`, "--key", "key")
    }
    const { code, err } = await bench().serin("replay", "--calls", "calls.jsonl", "--keys", "key.pub")
    expect({ code, err }).toEqual({ code: 9, err: "" })
  })

  it("scans what tools gave back with the packs of both releases, and shows no text", async () => {
    await record(callOf(1, { output: "card 4111111111111111" }), callOf(2, { output: "no card" }))
    const manifest = await bench().read("safety/releases/1.5.0/release.yaml")
    await bench().write(
      "safety/releases/1.5.0/release.yaml",
      `${manifest}scanners: [{ name: pii, patterns: pii.yaml }]\n`,
    )
    await bench().write(
      "safety/releases/1.5.0/pii.yaml",
      `patterns: [{ id: card, category: pii, pattern: '\\d{16}' }]\n`,
    )
    const { out } = await bench().serin("replay", "--calls", "calls.jsonl")
    expect(out).toMatch(/^2 texts scanned, 1 \(50 %\) with another result$/m)
    expect(out).toMatch(/^ {2}1 call of 1 session {2}output of get_order: clean → flagged by pii \(pii\)$/m)
    expect(out).not.toContain("4111")
  })

  it("lets releases bring code only where it is told to", async () => {
    await record(...CALLS)
    const manifest = await bench().read("safety/releases/1.5.0/release.yaml")
    const code = "scanners: [{ name: shout, module: shout.mjs }]\n"
    await bench().write("safety/releases/1.5.0/release.yaml", `${manifest}${code}`)
    await bench().write(
      "safety/releases/1.5.0/shout.mjs",
      "export function scanner() { return { scan: () => ({ result: 'flagged' }) } }\n",
    )
    expect((await bench().serin("replay", "--calls", "calls.jsonl")).err).toMatch(/^RELEASE_UNTRUSTED/)
    const replay = ["replay", "--calls", "calls.jsonl", "--modules"]
    expect(await bench().serin(...replay, "in-process")).toMatchObject({ code: 9, err: "" })
    expect(await bench().serin(...replay, "anywhere")).toMatchObject({ code: 2 })
  })

  it("says what is missing or wrong", async () => {
    await record(...CALLS)
    const replay = (...argv: string[]) => bench().serin("replay", ...argv)
    expect(await replay()).toMatchObject({ code: 2, err: expect.stringContaining("--calls FILE") })
    expect((await replay("--calls", "none.jsonl")).err).toMatch(
      /CALLS_INVALID.*\n {2}none.jsonl: cannot be read: there is no such file/,
    )
    expect((await replay("--calls", "calls.jsonl", "--canary", "9")).err).toContain("RELEASE_NOT_FOUND")
    expect((await replay("--calls", "calls.jsonl", "--canary", "no/where")).err).toContain("RELEASE_NOT_FOUND")
    for (const rate of ["2", "x", "-1", "1e-3"]) {
      expect((await replay("--calls", "calls.jsonl", `--error-max=${rate}`)).err).toMatch(/--error-max must be a rate/)
    }
  })
})

describe("a gate in the rollout file", () => {
  const start = (...argv: string[]) => bench().serin("start", ...argv)
  async function gated(limit: string, calls: readonly object[] = CALLS): Promise<void> {
    await record()
    await bench().write("safety/calls.jsonl", calls.map((call) => JSON.stringify(call)).join("\n"))
    const spec = await bench().read("safety/rollout.yaml")
    const text = spec
      .replace("newly_denied_rate_max: 0.02", `newly_denied_rate_max: ${limit}`)
      .replace("deny_rate_delta_max: 0.03", `deny_rate_delta_max: ${limit}`)
      .replace("canary:\n", "canary:\n  gate: replay\n")
    await bench().write("safety/rollout.yaml", text)
  }

  it("keeps `start` from beginning when a limit is exceeded, and says which", async () => {
    await gated("0.02")
    expect((await bench().serin("validate")).out).toContain("first both judge the recorded calls of calls.jsonl")
    const { code, err } = await start()
    expect(code).toBe(1)
    expect(err).toMatch(/^TRANSITION_REFUSED: .*calls\.jsonl, newly_denied_rate_max is 0\.09, above 0\.02/)
    expect(await bench().state()).toMatchObject({ canary: null, generation: 0 })
  })

  it("takes only releases that are signed, where `start` is given keys", async () => {
    await gated("0.2")
    expect(await bench().serin("release", "keygen", "key")).toMatchObject({ code: 0 })
    const { code, err } = await start("--keys", "key.pub")
    expect({ code, err }).toMatchObject({ code: 1, err: expect.stringMatching(/^RELEASE_UNTRUSTED: .* is not signed/) })
    expect(await bench().state()).toMatchObject({ canary: null })
  })

  it("lets `start` and `retry` begin within the limits, each with a replay of its own", async () => {
    await gated("0.2")
    expect(await start("--reason", "try it")).toMatchObject({ code: 0, err: expect.not.stringContaining("\u001b") })
    const { last } = await bench().state()
    expect(last.reason).toMatch(
      /^try it; replayed 100 calls of calls\.jsonl \(sha256:[0-9a-f]{64}\), 9 answered otherwise, .*1\.5\.0 \(sha256:/,
    )
    await bench().serin("rollback")
    await bench().write("safety/calls.jsonl", "nothing")
    expect((await bench().serin("retry", "--reason", "again")).err).toContain("CALLS_INVALID")
    await bench().write("safety/calls.jsonl", JSON.stringify(callOf(1)))
    expect((await bench().serin("retry", "--reason", "again", "--releases", "safety/releases")).code).toBe(0)
    expect((await bench().state()).last.reason).toContain("again; replayed 1 call of")
    // Under way: what is refused anyway replays nothing first.
    await bench().write("safety/calls.jsonl", "nothing")
    expect((await start()).err).toContain("1.5.0 is under way")
  })
})
