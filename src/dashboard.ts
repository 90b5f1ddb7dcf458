export {
  dashboardHandler,
  type DashboardAccess,
  type DashboardAnswer,
  type DashboardAuthorize,
  type DashboardOptions,
} from "./dashboard/handler.js"
export type { Explored, Releases as ExploredReleases } from "./dashboard/disagreements.js"
export type { ReadEntries } from "./disagreements/log.js"
export { operators } from "./dashboard/operators.js"
