import { runInThisContext } from "node:vm"
import * as vitest from "vitest"

/** A test that was declared; `names` are those of its groups and its own. */
export interface Declared {
  readonly name: string
  readonly run: () => unknown
}

/** Above this a test is taken for one that does not end. */
const LIMIT_MS = 4_000

type Row = readonly unknown[]

/** Stand in for vitest while a file of tests is evaluated: its tests are noted instead of run. The expectations are vitest's own. */
export function declaring(note: (test: Declared) => void): Record<string, unknown> {
  const groups: string[] = []
  // Options stand before the body, a time limit behind it.
  const bodyOf = (rest: readonly unknown[]): (() => unknown) =>
    rest.find((one) => typeof one === "function") as () => unknown
  const declare = (name: string, ...rest: readonly unknown[]): void =>
    note({ name: [...groups, name].join(" > "), run: bodyOf(rest) })
  const group = (name: string, ...rest: readonly unknown[]): void => {
    groups.push(name)
    bodyOf(rest)()
    groups.pop()
  }
  const each =
    (make: (name: string, body: () => unknown) => void) =>
    (rows: readonly unknown[]) =>
    (name: string, body: (...row: Row) => unknown): void =>
      rows.forEach((row, i) => make(`${name} #${i}`, () => (Array.isArray(row) ? body(...(row as Row)) : body(row))))
  const skip = (): void => {}
  const it = Object.assign(declare, { each: each(declare), skipIf: (skipped: boolean) => (skipped ? skip : declare) })
  const describe = Object.assign(group, {
    each: each(group),
    skipIf: (skipped: boolean) => (skipped ? skip : group),
  })
  return { vitest: { ...vitest, it, test: it, describe } }
}

/** Call `body`, and stop it when it goes round in circles. */
export function within<T>(body: () => T): T {
  const slot = globalThis as { serinMutation?: () => unknown }
  slot.serinMutation = body
  return runInThisContext("globalThis.serinMutation()", { timeout: LIMIT_MS }) as T
}
