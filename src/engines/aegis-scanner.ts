import { refuseUnknown, requireMethods } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { own } from "../model/record.js"
import type { Direction, Scanner, ScanReport } from "../release/ports.js"
import { ownCopy } from "./own-copy.js"

/** What is needed of an `AegisScanner`. */
export interface AegisLike {
  scan(content: string, options?: object): unknown
  scanOutput?(content: string, options?: object): unknown
}

const THREATS = ["none", "low", "medium", "high", "critical"] as const
type Threat = (typeof THREATS)[number]

/** Options of `aegisScanner()`. */
export interface AegisScannerOptions<R extends object = object> {
  /** Make a scanner of rules: `(rules, outputRules) => new AegisScanner(rules, outputRules)`. */
  readonly scanner: (rules: R[] | undefined, outputRules: R[] | undefined) => AegisLike
  /** Rules of this release; it gets copies. Default: the scanner's own, which all scanners of a process share. */
  readonly rules?: readonly R[] | undefined
  readonly outputRules?: readonly R[] | undefined
  /** Metric label. Default `aegis`. */
  readonly name?: string | undefined
  readonly directions?: readonly Direction[] | undefined
  /** From which level of threat on a text is blocked; below it, it is flagged. Default `high`. */
  readonly blockAt?: Exclude<Threat, "none"> | undefined
  /** For each scan, such as `{ mode: "redact", detectors: ["pii"] }`. A text longer than its `maxContentLength` is an error. */
  readonly scan?: { readonly maxContentLength?: number | undefined } | undefined
}

const AEGIS_KEYS: KeysOf<AegisScannerOptions> = {
  scanner: true,
  rules: true,
  outputRules: true,
  name: true,
  directions: true,
  blockAt: true,
  scan: true,
}
/** More in one report is no answer for a guard; what is found beyond them changes no result. */
const MAX_FINDINGS = 1000

/** Make a scanner of an `AegisScanner`. Findings carry what was looked for, and never what was found. */
export function aegisScanner<R extends object = object>(options: AegisScannerOptions<R>): Scanner {
  const { aegis, name, directions, blockAt, scan } = resolve(options)

  return Object.freeze({
    name,
    directions,
    scan(text: string, { direction }: { readonly direction: Direction }): ScanReport {
      const { maxContentLength } = scan
      if (maxContentLength !== undefined && text.length > maxContentLength) {
        throw new RangeError(`the text has ${text.length} characters, and maxContentLength is ${maxContentLength}`)
      }
      // By itself it looks at the first 100,000 characters, and says that the rest is safe.
      const asked = { ...scan, maxContentLength: text.length }
      const answer =
        direction === "output" && aegis.scanOutput !== undefined
          ? aegis.scanOutput(text, asked)
          : aegis.scan(text, asked)
      return reportOf(answer, blockAt)
    },
  })
}

function reportOf(answer: unknown, blockAt: number): ScanReport {
  const safe = own(answer, "safe")
  const detections = own(answer, "detections")
  const redacted = own(answer, "redacted")
  if (typeof safe !== "boolean" || !Array.isArray(detections) || safe !== (detections.length === 0)) {
    throw new TypeError("the scanner must answer `safe`, and `detections` exactly where that is false")
  }
  if (redacted !== undefined && typeof redacted !== "string")
    throw new TypeError("the scanner's `redacted` must be a text")
  if (safe) return { result: "clean" }
  const threat = THREATS.findIndex((one) => one === own(answer, "threatLevel"))
  if (threat < 1) throw new TypeError(`the scanner's \`threatLevel\` must be one of ${THREATS.slice(1).join(", ")}`)
  const findings = detections.slice(0, MAX_FINDINGS).map((one: unknown) => {
    const [category, message] = [own(one, "type"), own(one, "subType")]
    if (typeof category !== "string") throw new TypeError("a detection must have a text `type`")
    return { category, ...(typeof message === "string" && { message }) }
  })
  return { result: threat >= blockAt ? "blocked" : "flagged", findings, redacted }
}

function resolve<R extends object>(options: AegisScannerOptions<R>) {
  refuseUnknown("aegisScanner", options, AEGIS_KEYS)
  const { scanner, rules, outputRules, name = "aegis", directions, blockAt = "high", scan = {} } = options ?? {}
  if (typeof scanner !== "function") throw new TypeError(`scanner must be a function, got ${typeof scanner}`)
  const level = THREATS.indexOf(blockAt)
  if (level < 1) throw new TypeError(`blockAt must be one of ${THREATS.slice(1).join(", ")}, got ${String(blockAt)}`)
  if (typeof scan !== "object" || scan === null) throw new TypeError(`scan must be an object, got ${String(scan)}`)
  const aegis = scanner(rules && ownCopy("rules", rules), outputRules && ownCopy("outputRules", outputRules))
  requireMethods("scanner()", aegis, ["scan"], "give `(rules, outputRules) => new AegisScanner(rules, outputRules)`")
  return { aegis, name, directions, blockAt: level, scan: { ...scan } }
}
