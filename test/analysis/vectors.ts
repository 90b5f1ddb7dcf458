import { readFileSync } from "node:fs"
import { it } from "vitest"
import { sharedIsThere, sharedPath, skipNote } from "../shared.js"

/** Run `check` over the cases named `fn` of one vector file; skipped, loudly, where the files are not. */
export function vectors<T>(file: string, fn: string, check: (cases: readonly T[]) => void): void {
  skipNote(1, `${file} ${fn}`)
  it.skipIf(!sharedIsThere)(`agrees with ${file}, ${fn}`, () => {
    const parsed = JSON.parse(readFileSync(sharedPath(`vectors/${file}`), "utf8")) as { cases: ({ fn: string } & T)[] }
    const cases = parsed.cases.filter((c) => c.fn === fn)
    if (cases.length === 0) throw new Error(`${file} has no case ${fn}`)
    check(cases)
  })
}

/** |actual − expected| relative to the larger of 1 and |expected| when `floor` is 1, purely relative when it is 0. */
export function relativeError(actual: number, expected: number, floor = 0): number {
  if (actual === expected) return 0
  return Math.abs(actual - expected) / Math.max(floor, Math.abs(expected))
}
