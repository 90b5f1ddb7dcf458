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

/** Write counts as the line that ends a test run; `skipped` only when some were. */
export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`
}
