import { decisionLogFile } from "../../src/decision-log.js"
import type { DecisionLogEntry } from "../../src/model/decision-entry.js"

/** Writes one entry, and closes the log or leaves it open. Arguments: the log's path, the entry as JSON, `closing` or `leaving`. */
const [path = "", entry = "", ending] = process.argv.slice(2)
const log = await decisionLogFile({ path })
const written = log.write([JSON.parse(entry) as DecisionLogEntry])
if (ending === "closing") {
  await written
  await log.close()
}
