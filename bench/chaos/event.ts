import { openSync, readFileSync, writeSync } from "node:fs"
import { commonMs } from "./scaled-clock.js"

/** What a process tells of itself, a line each: enough to hold it to the promises from outside. `t` is common time, ms. */
export type Line = { readonly t: number } & (
  | { readonly is: "born"; readonly life: number }
  /** The state in force changed. */
  | {
      readonly is: "state"
      readonly revision: number
      readonly generation: number
      readonly kill: string
      readonly phase: string
    }
  | {
      readonly is: "decision"
      readonly session: string
      readonly arm: "stable" | "canary"
      readonly source: string
      readonly revision: number
      readonly generation: number
      /** Nobody was known to lead: what is decided then is no evidence. */
      readonly leaderless: boolean
    }
  /** What has arrived where the leader reads it: evaluations counted in it. */
  | { readonly is: "published"; readonly life: number; readonly generation: number; readonly evaluations: number }
  /** What the evidence of all came to, in the eyes of one that may lead. */
  | { readonly is: "merged"; readonly generation: number; readonly evaluations: number }
  | { readonly is: "leads"; readonly epoch: number }
  | { readonly is: "problem"; readonly code: string }
)

/** `Omit` of each member of a union. */
type Untimed<T> = T extends unknown ? Omit<T, "t"> : never

/** Write lines that survive the process, whatever ends it. */
export function lineWriter(path: string): (line: Untimed<Line>) => void {
  const file = openSync(path, "a")
  return (line) => void writeSync(file, `${JSON.stringify({ t: commonMs(), ...line })}\n`)
}

/** Read what a process told; a last line that it could not finish is left out. */
export function readLines(path: string): readonly Line[] {
  const whole = readFileSync(path, "utf8").split("\n").slice(0, -1)
  return whole.map((text) => JSON.parse(text) as Line)
}
