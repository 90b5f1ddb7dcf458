import { readReport } from "../operate/stored-report.js"
import { json } from "./answer.js"
import type { Context, Route } from "./route.js"

/** How each criterion came to where it is: too much to send with each change, of which one point is new. */
export function courseRoute({ read }: Context): Route {
  return {
    method: "GET",
    path: "course",
    access: "read",
    async answer({ rollout }) {
      const { report } = await readReport(read, rollout)
      return json({ rollout, course: report?.course ?? null })
    },
  }
}
