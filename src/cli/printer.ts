import type { Io } from "./io.js"

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const
export type Style = keyof typeof STYLES

/** A piece of a line. Whatever it holds, it can neither move the cursor nor begin a new line. */
export type Text = string | { readonly text: string; readonly style: Style }
export type Line = readonly Text[]

/** Writes lines for people and documents for machines. */
export interface Printer {
  line(...texts: Text[]): void
  lines(lines: readonly Line[]): void
  /** Write one document on one line. */
  json(value: unknown): void
  /** Write to stderr. */
  note(text: string): void
}

export function createPrinter({ stdout, stderr, isTTY, env }: Io): Printer {
  const options = { colour: isTTY && (env["NO_COLOR"] ?? "") === "" }
  return {
    line: (...texts) => void stdout.write(`${renderLine(texts, options)}\n`),
    lines: (lines) => void stdout.write(lines.map((line) => `${renderLine(line, options)}\n`).join("")),
    json: (value) => void stdout.write(`${renderJson(value)}\n`),
    note: (text) => void stderr.write(`${plain(text)}\n`),
  }
}

/** Write a line as a terminal may get it, at most `columns` characters wide. */
export function renderLine(line: Line, options: { readonly colour: boolean; readonly columns?: number }): string {
  let room = options.columns ?? Number.POSITIVE_INFINITY
  const parts: string[] = []
  for (const text of line) {
    const shown = textOf(text).slice(0, room)
    room -= shown.length
    const style = typeof text === "string" ? undefined : STYLES[text.style]
    parts.push(options.colour && style !== undefined ? `\u001b[${style}m${shown}\u001b[0m` : shown)
  }
  return parts.join("").trimEnd()
}

/** Set rows in columns, two spaces apart; the last column is not padded. */
export function table(rows: readonly Line[]): Line[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, textOf(cell).length)
  }
  return rows.map((row) =>
    row.flatMap((cell, i) => {
      const gap = (widths[i] ?? 0) - textOf(cell).length + 2
      return i === row.length - 1 ? [cell] : [cell, " ".repeat(gap)]
    }),
  )
}

const textOf = (text: Text): string => plain(typeof text === "string" ? text : text.text)

/** Break characters, for which a space stands; and all that a terminal obeys rather than shows, also what turns text around. */
const BREAKS = /[\t\n\v\f\r\u0085\u2028\u2029]+/g
const UNSHOWN = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu

/** Attack: a reason in the state that clears the screen, forges a line, or writes into the terminal's clipboard (OSC 52). */
export function plain(text: string): string {
  return text.replace(BREAKS, " ").replace(UNSHOWN, "")
}

/** `JSON.stringify` escapes C0 only: DEL, C1 and what turns text around would reach a terminal as they are. */
function renderJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  )
}
