export { decisionLogFile } from "./decision-log/file.js"
export type { DecisionLogFile, DecisionLogFileOptions } from "./decision-log/file.js"
export { readDecisionLog } from "./decision-log/read.js"
export type { ReadOptions } from "./decision-log/read.js"
export type {
  DecisionEntry,
  DecisionLogEntry,
  DecisionSink,
  PairEntry,
  PairSide,
  ScanEntry,
} from "./model/decision-entry.js"
