/** A change that no input can show, and why. Whatever stands here is tried all the same and counts only where it survives. */
export interface Equivalent {
  readonly file: string
  /** The line as it stands, without indentation. */
  readonly source: string
  /** What the mutants make of it. */
  readonly to: readonly string[]
  readonly why: string
}

export const EQUIVALENT: readonly Equivalent[] = []
