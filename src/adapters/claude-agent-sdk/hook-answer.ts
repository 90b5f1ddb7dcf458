import { refusalText } from "../../guard/refusal.js"

/** What a hook answers. `{}` is no opinion. */
export interface HookAnswer {
  readonly hookSpecificOutput?:
    | {
        readonly hookEventName: "PreToolUse"
        readonly permissionDecision: "deny" | "ask"
        readonly permissionDecisionReason: string
      }
    | { readonly hookEventName: "PostToolUse"; readonly updatedToolOutput: unknown }
  /** The agent stops before the model reads on. */
  readonly continue?: false
  readonly stopReason?: string
}

/** The person reads it; and where there is none, the model. */
export const questionOf = (reason: string | undefined): string =>
  `Policy asks for the approval of a person${reason === undefined ? "" : `: ${reason}`}. Without it, do not retry the same call.`

export const notJudged = (tool: string): HookAnswer => answer("deny", refusalText(tool, "denied", null))

export const answer = (permissionDecision: "deny" | "ask", permissionDecisionReason: string): HookAnswer => ({
  hookSpecificOutput: { hookEventName: "PreToolUse", permissionDecision, permissionDecisionReason },
})

export const rewritten = (updatedToolOutput: unknown): HookAnswer => ({
  hookSpecificOutput: { hookEventName: "PostToolUse", updatedToolOutput },
})
