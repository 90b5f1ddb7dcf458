import type { Actor } from "../rollout/state.js"
import { refuse } from "./answer.js"

/** What a request wants to do. */
export type DashboardAccess = "read" | "act"

/**
 * Say whether a request may do what it asks for, and who asks: false, true, or a name. To act, a name is needed: it is kept in the history.
 * A throw is a no.
 */
export type DashboardAuthorize = (
  request: Request,
  access: DashboardAccess,
) => DashboardAnswer | Promise<DashboardAnswer>

/** Whether a request may; and, for one that changes something, who asks. */
export type DashboardAnswer = boolean | { readonly actor: string }

/** Who may do what. */
export interface Admission {
  /** Who asks, null for nobody in particular; or the answer that keeps them out. */
  admit(request: Request, access: DashboardAccess): Promise<Actor | null | Response>
  /** In whose name a request may act; null: it may not. */
  actorOf(request: Request): Promise<string | null>
}

/** Ask the host. `tell` is told of what goes wrong in that. */
export function admissionBy(authorize: DashboardAuthorize | undefined, tell: (error: unknown) => void): Admission {
  async function admit(request: Request, access: DashboardAccess): Promise<Actor | null | Response> {
    const answer = await ask(request, access)
    const isNamed = typeof answer === "object"
    if (answer !== false && (access === "read" || isNamed)) return isNamed ? { kind: "human", id: answer.actor } : null
    if (authorize === undefined || answer === true || request.headers.has("authorization")) {
      return refuse(403, "FORBIDDEN", `this is not allowed to ${access}`)
    }
    return refuse(401, "UNAUTHORIZED", "say who you are: Authorization: Bearer <token>", {
      "www-authenticate": "Bearer",
    })
  }

  async function ask(request: Request, access: DashboardAccess): Promise<DashboardAnswer> {
    if (authorize === undefined) return access === "read"
    try {
      const answer = await authorize(request, access)
      if (typeof answer === "object" && answer !== null && typeof answer.actor === "string" && answer.actor !== "")
        return answer
      if (answer === true && access === "act")
        tell(new TypeError("authorize must answer { actor } to let somebody act, got true"))
      return answer === true
    } catch (error) {
      tell(error)
      return false
    }
  }

  async function actorOf(request: Request): Promise<string | null> {
    const answer = await ask(request, "act")
    return typeof answer === "object" ? answer.actor : null
  }

  return { admit, actorOf }
}
