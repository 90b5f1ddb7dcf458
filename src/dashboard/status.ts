import { json, Refusal } from "./answer.js"
import type { Context, Route } from "./route.js"
import { viewOf } from "./view.js"

/** Where a rollout stands, and what can be done. */
export function statusRoute(context: Context): Route {
  return {
    method: "GET",
    path: "status",
    access: "read",
    async answer({ rollout }) {
      const view = await viewOf(context, rollout)
      if (view === null) throw new Refusal(404, "NOT_FOUND", `${rollout} has no state`)
      return json(view)
    },
  }
}
