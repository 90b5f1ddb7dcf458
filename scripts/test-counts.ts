import { stripVTControlCharacters } from "node:util"

export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** What is read of a vitest JSON report. */
export interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly VitestFile[]
}

interface VitestFile {
  readonly name: string
  /** Why the file did not load; empty otherwise. */
  readonly message: string
  readonly assertionResults: readonly {
    readonly status: string
    readonly fullName: string
    readonly failureMessages?: readonly string[] | null
  }[]
}

/**
 * Count a vitest report. A run that failed outside of a test (a file that does not load, an unhandled rejection, no
 * report, no test at all) counts as one failure, so that nothing fails unseen.
 */
export function countsOf(report: VitestReport | null, exitedWell: boolean): Counts {
  if (report === null) return { passed: 0, failed: 1, skipped: 0 }
  const { numPassedTests: passed, numFailedTests: failed, numPendingTests, numTodoTests } = report
  const failedUnseen = failed === 0 && (!exitedWell || passed === 0)
  return { passed, failed: failedUnseen ? 1 : failed, skipped: numPendingTests + numTodoTests }
}

/** Write what failed in a vitest report, one text each: its file, its name, and how its message begins. */
export function failuresOf(report: VitestReport | null, root: string): readonly string[] {
  if (report === null) return ["no report: the run ended before it wrote one"]
  return report.testResults.flatMap(({ name, message, assertionResults }) => {
    const file = name.startsWith(root) ? name.slice(root.length).replace(/^\/+/, "") : name
    const failed = assertionResults.filter(({ status }) => status === "failed")
    if (failed.length === 0) return message === "" ? [] : [`${file}: ${beginningOf(message)}`]
    return failed.map((test) => `${file} > ${test.fullName}: ${beginningOf(test.failureMessages?.join("\n") ?? "")}`)
  })
}

/** The first lines, without colours: the whole stands where the test ran. */
function beginningOf(message: string): string {
  const plain = stripVTControlCharacters(message).trim()
  const lines = plain.split("\n").filter((line) => !/^\s*at .*node_modules/.test(line))
  return lines.slice(0, 12).join("\n  ").slice(0, 1_200)
}

/** Write counts as the line that ends a test run; `skipped` only when some were. */
export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`
}
