import { openSync, readFileSync, writeSync } from "node:fs"
import { commonMs } from "./scaled-clock.js"

/**
 * What a process tells of itself, a line each: enough to hold it to the promises from outside. `t` is common time, ms. `draw` is the salt
 * of a generation, whose number comes again where the store has lost one.
 */
export type Line = { readonly t: number } & (
  | { readonly is: "born"; readonly life: number }
  /** The state in force changed. */
  | {
      readonly is: "state"
      readonly revision: number
      readonly draw: string
      readonly kill: string
      readonly phase: string
      /** It obeys the kill of a document that was refused: it bears the next number, and nobody has written it. */
      readonly refused: boolean
    }
  | {
      readonly is: "decision"
      readonly session: string
      readonly arm: "stable" | "canary"
      readonly source: string
      readonly revision: number
      readonly draw: string
      /** Nobody was known to lead. */
      readonly leaderless: boolean
    }
  /** What the evidence of a process came to when it was looked at. */
  | { readonly is: "counted"; readonly draw: string; readonly evaluations: number }
  /** What has arrived where the leader reads it: evaluations counted in it. */
  | { readonly is: "published"; readonly life: number; readonly draw: string; readonly evaluations: number }
  /** What the evidence of all came to, in the eyes of one that may lead. */
  | { readonly is: "merged"; readonly draw: string; readonly evaluations: number }
  /** It counts on its lead at this time, and every {@link LEAD_EVERY_MS} as long as it does. */
  | { readonly is: "leads"; readonly epoch: number }
  | { readonly is: "problem"; readonly code: string }
)

/** Code of a `problem`: the last known good of an earlier life could not be read in time, so there is no floor. */
export const FORGOT = "last_known_good"

/** Common ms. */
export const LEAD_EVERY_MS = 20

/** `Omit` of each member of a union. */
type Untimed<T> = T extends unknown ? Omit<T, "t"> : never

/** Write lines that survive the process, whatever ends it. */
export function lineWriter(path: string): (line: Untimed<Line>, t?: number) => void {
  const file = openSync(path, "a")
  return (line, t = commonMs()) => void writeSync(file, `${JSON.stringify({ t, ...line })}\n`)
}

/** Read what a process told; a last line that it could not finish is left out. */
export function readLines(path: string): readonly Line[] {
  const whole = readFileSync(path, "utf8").split("\n").slice(0, -1)
  return whole.map((text) => JSON.parse(text) as Line)
}
