import type { Command, Verb } from "./command.js"
import { table, type Line } from "./printer.js"

/** What `serin --help` shows. */
export function overview(verbs: readonly Verb[]): Line[] {
  const rows = verbs.map(({ name, summary }): Line => [`  ${name}`, summary])
  return [
    ["Usage: serin COMMAND [flags]"],
    [],
    ["Move a canary release of safety rules while the application that embeds it runs."],
    [],
    ...table(rows),
    [],
    ["`serin help COMMAND` says more of one; `serin --version` says which serin this is."],
  ]
}

/** What `serin help COMMAND` shows. */
export function helpOf({ name, summary, operand, notes = [], flags, example }: Command): Line[] {
  const rows = Object.entries(flags).map(([flag, { value, text }]): Line => {
    return [`  --${flag}${value === undefined ? "" : ` ${value}`}`, text]
  })
  return [
    [`Usage: serin ${name}${operand === undefined ? "" : ` ${operand}`} [flags]`],
    [],
    [`${summary}.`],
    ...notes.map((note): Line => [note]),
    [],
    ...table([...rows, ["  --help", "show this"]]),
    [],
    [`Example: ${example}`],
  ]
}
