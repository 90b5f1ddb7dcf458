/**
 * A policy's rule that could not be evaluated. It makes the evaluation an error: never an allow and never "no match".
 * Whoever catches it may read `rule` of any error: engines of third parties need not use this class.
 */
export class RuleError extends Error {
  /** Id of the rule. */
  readonly rule: string

  constructor(rule: string, message: string, options: { cause?: unknown } = {}) {
    super(`rule \`${rule}\`: ${message}`, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = "RuleError"
    this.rule = rule
  }
}
