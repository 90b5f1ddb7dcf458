import { describe, expect, it } from "vitest"
import type { Call } from "../../src/model/call.js"
import type { Evaluation } from "../../src/release/ports.js"
import type { ReplayableRelease } from "../../src/replay.js"
import { replayOne } from "../../src/replay/one-call.js"
import { logged, type Logged } from "./log.js"

const refund =
  (limit: number) =>
  ({ input }: Call): Evaluation =>
    (input as { amount: number }).amount > limit
      ? { outcome: "deny", rule: "large-refund", reason: `up to ${limit}` }
      : { outcome: "allow", rule: "refund" }

const release = (version: string, evaluate: (call: Call) => Evaluation, more: object = {}): ReplayableRelease => ({
  version,
  policy: { evaluate, ...more },
})
const STABLE = release("1.4.0", refund(1000))
const CANARY = release("1.5.0", refund(500))

const entries = (more: Partial<Logged> = {}) => {
  const [decision, pair] = logged({ id: "p-1", stable: { outcome: "allow", rule: "refund" }, ...more })
  return { decision, pair }
}

describe("a call that is replayed", () => {
  it("shows which rule fired in each release, and that they answer as they did", async () => {
    expect(await replayOne({ stable: STABLE, canary: CANARY, ...entries() })).toMatchObject({
      format: "serin/call-replay/1",
      id: "p-1",
      fidelity: "exact",
      repeats: true,
      replayed: {
        stable: { release: "1.4.0", outcome: "allow", rule: "refund", scan: null },
        canary: { outcome: "deny", rule: "large-refund", reason: "up to 500", logged: { outcome: "deny" } },
      },
      notes: [],
    })
  })

  it("is not taken for the call of then where the answers differ, or the release is another", async () => {
    const replayed = await replayOne({ stable: STABLE, canary: release("1.5.1", refund(800)), ...entries() })
    expect(replayed.repeats).toBe(false)
    expect(replayed.notes).toEqual([
      "judged by 1.5.1, and then by 1.5.0",
      expect.stringContaining("not those of the log"),
    ])
  })

  it("is not replayed where the log does not hold its input", async () => {
    for (const more of [{ input: undefined, redacted: true as const }]) {
      const replayed = await replayOne({ stable: STABLE, canary: CANARY, ...entries(more) })
      expect(replayed).toMatchObject({
        fidelity: "none",
        replayed: null,
        repeats: null,
        notes: [expect.stringContaining("input")],
      })
    }
    const { decision, pair } = entries()
    const incomplete = { ...decision, call: { action: "a" }, incomplete: true as const }
    expect(await replayOne({ stable: STABLE, canary: CANARY, decision: incomplete, pair })).toMatchObject({
      fidelity: "none",
    })
  })

  it("is never called exact where a redaction made it what it is, also when it answers the same", async () => {
    const replayed = await replayOne({ stable: STABLE, canary: CANARY, ...entries({ redacted: true }) })
    expect(replayed).toMatchObject({
      fidelity: "redacted",
      repeats: true,
      notes: [expect.stringContaining("redacted")],
    })
  })

  it("is exact without an input where the call had none", async () => {
    const deny = (): Evaluation => ({ outcome: "deny", rule: "large-refund" })
    const allow = (): Evaluation => ({ outcome: "allow", rule: "refund" })
    const given = entries({ input: undefined })
    const replayed = await replayOne({ stable: release("1.4.0", allow), canary: release("1.5.0", deny), ...given })
    expect(replayed).toMatchObject({ fidelity: "exact", repeats: true })
  })

  it("tells of a release that fails, and asks none that remembers", async () => {
    const throws = (): never => {
      throw new Error("no such table")
    }
    const failed = await replayOne({ stable: STABLE, canary: release("1.5.0", throws), ...entries() })
    expect(failed.replayed?.canary).toMatchObject({ outcome: "error", errorType: "throw", reason: "no such table" })
    let asked = 0
    const counting = release("1.5.0", () => ((asked += 1), "allow"), { stateful: true })
    const left = await replayOne({ stable: STABLE, canary: counting, ...entries() })
    expect(left).toMatchObject({ fidelity: "exact", replayed: null, notes: [expect.stringContaining("remembers")] })
    expect(asked).toBe(0)
  })

  it("gives each release a call of its own, and the session of then", async () => {
    const seen: unknown[] = []
    const meddling: ReplayableRelease = {
      version: "1.4.0",
      policy: {
        evaluate(call, context) {
          seen.push(context.sessionId)
          ;(call.input as { amount: number }).amount = 0
          return "allow"
        },
      },
    }
    const { replayed } = await replayOne({ stable: meddling, canary: CANARY, ...entries({ session: "s-9" }) })
    expect(replayed?.canary.outcome).toBe("deny")
    expect(seen).toEqual(["s-9"])
  })

  it("scans a text that is handed in by both, and says that none was where none is", async () => {
    const scanner = {
      name: "pii",
      scan: (text: string) =>
        ({ result: text.includes("4111") ? "blocked" : "clean", findings: [{ category: "card" }] }) as const,
    }
    const scanning = { ...CANARY, scanners: [scanner] }
    const with4111 = await replayOne({ stable: STABLE, canary: scanning, ...entries(), text: "4111" })
    expect(with4111.replayed?.canary.scan).toMatchObject({
      result: "blocked",
      findings: [{ scanner: "pii", category: "card" }],
    })
    expect(with4111.replayed?.stable.scan).toMatchObject({ result: "clean" })
    const without = await replayOne({ stable: STABLE, canary: scanning, ...entries() })
    expect(without.replayed?.canary.scan).toBeNull()
    expect(without.notes).toEqual(["no scanner ran: a decision log holds no texts"])
  })
})
