import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { RuleError } from "../../src/release/rule-error.js"
import { readAlerts, readEvaluation, readScanReport } from "../../src/release/run.js"

const effects = ["allow", "deny", "escalate"] as const

describe("readEvaluation", () => {
  it("reads an effect as the same constant, frozen record each time", () => {
    for (const effect of effects) {
      expect(readEvaluation(effect)).toEqual({ outcome: effect })
      expect(readEvaluation(effect)).toBe(readEvaluation(effect))
      expect(Object.isFrozen(readEvaluation(effect))).toBe(true)
    }
  })

  it("gives what a valid record says, and keeps it when the record says something else later", () => {
    const record = { outcome: "deny", reason: "too much", rule: "limit" }
    const read = readEvaluation(record)
    expect(read).toEqual(record)
    record.outcome = "allow"
    expect(read?.outcome).toBe("deny")
    expect(readEvaluation({ outcome: "allow", reason: undefined })).not.toBeNull()
  })

  it.each([
    ["undefined", undefined],
    ["null", null],
    ["true", true],
    ["error, which no policy may answer", "error"],
    ["an effect in other letters", "Allow"],
    ["a String object", new String("allow")],
    ["a name of Object.prototype", "constructor"],
    ["an empty record", {}],
    ["a record with an unknown outcome", { outcome: "permit" }],
    ["a reason that is no string", { outcome: "allow", reason: 1 }],
    ["a null reason", { outcome: "allow", reason: null }],
    ["a rule that is no string", { outcome: "allow", rule: {} }],
    ["a promise", Promise.resolve("allow")],
    ["an array", ["allow"]],
    ["a function", () => "allow"],
    ["an inherited outcome", Object.create({ outcome: "allow" })],
  ])("refuses %s", (_, value) => {
    expect(readEvaluation(value)).toBeNull()
  })

  it("refuses a record that throws when it is read", () => {
    const throwing = Object.defineProperty({ outcome: "allow" }, "reason", {
      get: () => {
        throw new Error("no")
      },
    })
    const { proxy, revoke } = Proxy.revocable({ outcome: "allow" }, {})
    revoke()
    expect(readEvaluation(throwing)).toBeNull()
    expect(readEvaluation(proxy)).toBeNull()
  })

  it("takes nothing for an evaluation that is not one of the three effects", () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true }), (value) => {
        const read = readEvaluation(value)
        const said = typeof value === "string" ? value : (value as { outcome?: unknown } | null | undefined)?.outcome
        if (read !== null) expect(effects).toContain(said)
        else if (typeof value === "string") expect(effects).not.toContain(value)
      }),
    )
  })
})

describe("readScanReport", () => {
  it("gives what a valid report says, and keeps it when the report says something else later", () => {
    const reports: { result: string; findings?: { category: string; message?: string }[]; redacted?: string }[] = [
      { result: "clean" },
      { result: "blocked", findings: [], redacted: "***" },
      { result: "flagged", findings: [{ category: "pii" }, { category: "secret", message: "a key" }] },
    ]
    for (const report of reports) {
      const read = readScanReport(report)
      const said = structuredClone(report)
      expect(read).toEqual(said)
      for (const finding of report.findings ?? []) finding.category = "other"
      report.findings?.push({ category: "more" })
      report.result = "clean"
      expect(read).toEqual(said)
    }
  })

  it.each([
    ["a bare result", "clean"],
    ["null", null],
    ["an unknown result", { result: "ok" }],
    ["an inherited result", Object.create({ result: "clean" })],
    ["findings that are no array", { result: "clean", findings: {} }],
    ["a finding without category", { result: "flagged", findings: [{ message: "x" }] }],
    ["a null finding", { result: "flagged", findings: [null] }],
    ["a finding whose message is no string", { result: "flagged", findings: [{ category: "pii", message: 1 }] }],
    ["redacted that is no string", { result: "clean", redacted: 1 }],
    [
      "more findings than anybody reads",
      { result: "flagged", findings: Array.from({ length: 1001 }, () => ({ category: "pii" })) },
    ],
    ["a finding that is a book", { result: "flagged", findings: [{ category: "pii", message: "x".repeat(10_001) }] }],
  ])("refuses %s", (_, value) => {
    expect(readScanReport(value)).toBeNull()
  })

  it("refuses a report that throws when it is read", () => {
    const { proxy, revoke } = Proxy.revocable({ result: "clean" }, {})
    revoke()
    expect(readScanReport(proxy)).toBeNull()
  })
})

describe("readAlerts", () => {
  it("takes a list of alerts, and none that is too long to be looked at", () => {
    expect(readAlerts([{ name: "a", message: "b" }])).toEqual([{ name: "a", message: "b" }])
    for (const value of [
      [{}],
      [null],
      "a",
      Array.from({ length: 1001 }, () => ({ name: "a" })),
      [{ name: "x".repeat(10_001) }],
    ]) {
      expect(readAlerts(value)).toBeNull()
    }
  })
})

describe("RuleError", () => {
  it("carries the rule's id and the cause", () => {
    const cause = new Error("No such key: amount")
    const error = new RuleError("limit", "the condition failed", { cause })
    expect(error).toMatchObject({ name: "RuleError", rule: "limit", cause })
    expect(error.message).toBe("rule `limit`: the condition failed")
  })
})
