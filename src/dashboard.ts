export {
  dashboardHandler,
  type DashboardAccess,
  type DashboardAnswer,
  type DashboardAuthorize,
  type DashboardOptions,
} from "./dashboard/handler.js"
export { operators } from "./dashboard/operators.js"
