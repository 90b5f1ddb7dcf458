import { describe, expect, it } from "vitest"
import { closingLine, countsOf, type VitestReport } from "../../scripts/test-counts.js"

const report = (passed: number, failed: number, pending = 0, todo = 0): VitestReport => ({
  numPassedTests: passed,
  numFailedTests: failed,
  numPendingTests: pending,
  numTodoTests: todo,
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
