import { describe, expect, it } from "vitest"
import { closingLine, countsOf, failuresOf, type VitestReport } from "../../scripts/test-counts.js"

const report = (passed: number, failed: number, pending = 0, todo = 0): VitestReport => ({
  numPassedTests: passed,
  numFailedTests: failed,
  numPendingTests: pending,
  numTodoTests: todo,
  testResults: [],
})

const file = (
  name: string,
  message: string,
  ...tests: readonly [status: string, name: string, message?: string][]
) => ({
  name,
  message,
  assertionResults: tests.map(([status, fullName, text]) => ({
    status,
    fullName,
    failureMessages: text === undefined ? null : [text],
  })),
})

describe("the counts of a test run", () => {
  it.each([
    ["are those of the report", report(5, 0), true, { passed: 5, failed: 0, skipped: 0 }],
    ["tell failed tests", report(5, 2), false, { passed: 5, failed: 2, skipped: 0 }],
    ["tell skipped and planned tests as skipped", report(5, 0, 2, 1), true, { passed: 5, failed: 0, skipped: 3 }],
    ["have a failure when the run failed outside of a test", report(5, 0), false, { passed: 5, failed: 1, skipped: 0 }],
    ["have a failure when nothing was tested", report(0, 0, 3), true, { passed: 0, failed: 1, skipped: 3 }],
    ["have a failure when there is no report", null, true, { passed: 0, failed: 1, skipped: 0 }],
  ])("%s", (_, given, exitedWell, counts) => {
    expect(countsOf(given, exitedWell)).toEqual(counts)
  })

  it("close the run in one line, and name skipped tests only when some were", () => {
    expect(closingLine({ passed: 3, failed: 0, skipped: 0 })).toBe("3 passed, 0 failed")
    expect(closingLine({ passed: 3, failed: 1, skipped: 2 })).toBe("3 passed, 1 failed, 2 skipped")
  })
})

describe("the failures of a test run", () => {
  it("are told by file, name and the beginning of their message, without colours", () => {
    const failed = {
      ...report(1, 1),
      testResults: [
        file(
          "/p/test/a.test.ts",
          "",
          ["passed", "a guard decides"],
          ["failed", "a guard counts", "\u001b[31mno\u001b[39m"],
        ),
        file("/p/test/b.test.ts", "", ["passed", "a store keeps"]),
      ],
    }
    expect(failuresOf(failed, "/p/")).toEqual(["test/a.test.ts > a guard counts: no"])
  })

  it("name a file that does not load, and a run that wrote no report", () => {
    const unloaded = { ...report(0, 0), testResults: [file("/p/test/a.test.ts", "Cannot find module")] }
    expect(failuresOf(unloaded, "/p")).toEqual(["test/a.test.ts: Cannot find module"])
    expect(failuresOf(null, "/p")).toEqual(["no report: the run ended before it wrote one"])
  })

  it("show no more than the beginning of a long message", () => {
    const long = Array.from({ length: 100 }, (_, i) => `line ${i}`).join("\n")
    const [text] = failuresOf({ ...report(0, 1), testResults: [file("a", "", ["failed", "t", long])] }, "/p")
    expect(text).toContain("line 11")
    expect(text).not.toContain("line 12")
  })
})
