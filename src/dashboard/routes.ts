import { actRoute } from "./act.js"
import { approvalLinkRoutes } from "./approval-link.js"
import { disagreementRoutes } from "./disagreements.js"
import { courseRoute } from "./course.js"
import { eventsRoute } from "./events.js"
import { historyRoute } from "./history.js"
import type { Context, Route } from "./route.js"
import { statusRoute } from "./status.js"

/** Every address below a rollout. */
export const routesOf = (context: Context): readonly Route[] => [
  statusRoute(context),
  eventsRoute(context),
  historyRoute(context),
  courseRoute(context),
  actRoute(context),
  ...disagreementRoutes(context),
  ...(context.approvalKeys === undefined ? [] : approvalLinkRoutes(context, context.approvalKeys)),
]
