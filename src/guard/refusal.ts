import { cut } from "../model/cut.js"
import type { Decision, Scan } from "../model/decision.js"

/** What is told to a model stays short: it reads the rest of the conversation as well. */
const MAX_REASON = 500
const MAX_TOOL = 128

/** Why a tool was not run. `unapproved`: a person said no; `unattended`: there was nobody to ask. */
export type NotRun = "denied" | "unapproved" | "unattended"

/**
 * Say to a model, and to whoever reads along, that a call was not run, why, and that asking again does not help. Of the decision only its
 * reason is told, never an error, a rule or a version. `decision` null: the call could not even be put to the guard.
 */
export function refusalText(tool: string, why: NotRun, decision: Decision | null): string {
  return (
    `The call of ${cut(tool, MAX_TOOL)} was not allowed by policy and was not run: ${reasonOf(why, decision)}. ` +
    "Do not retry the same call: go on without it, or say that it is not possible."
  )
}

/** Say that a tool was run, and that its output is not handed on. */
export function withheldText(tool: string, scan: Scan | null): string {
  return (
    `The call of ${cut(tool, MAX_TOOL)} was run, and policy does not allow its output to be handed on: ${contentOf(scan)}. ` +
    "Do not retry the same call: go on without its output, or say that it is not possible."
  )
}

function reasonOf(why: NotRun, decision: Decision | null): string {
  if (decision === null || decision.source === "posture") return "it could not be judged"
  if (decision.source === "lockdown") return "every call is denied at present"
  const told = decision.reason === undefined ? "" : cut(decision.reason, MAX_REASON).replace(/[\s.]+$/, "")
  if (why === "denied") return told === "" ? "the policy denies it" : told
  const asked = why === "unapproved" ? "was not approved" : "cannot be approved here"
  return `it needs the approval of a person and ${asked}${told === "" ? "" : ` (${told})`}`
}

/** Categories, and no message of a finding: that may hold what was to be withheld. */
function contentOf(scan: Scan | null): string {
  if (scan === null || scan.source === "posture") return "it could not be scanned"
  if (scan.source === "lockdown") return "every output is withheld at present"
  const categories = [...new Set(scan.findings.map(({ category }) => category))]
  return categories.length === 0 ? "a scanner blocked it" : cut(`it holds ${categories.join(", ")}`, MAX_REASON)
}
