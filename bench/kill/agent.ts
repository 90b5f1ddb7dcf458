// One of fifty processes that a kill must reach. It asks for a decision every few ms, as an agent that is busy would, and tells
// when the first one was denied; beside that it listens with the bare client of the same store, and tells when that heard.
import { connect } from "../../src/connect.js"
import { listenBare, readerAt } from "./stores.js"
import type { StoreName } from "./stores.js"

const DECIDE_EVERY_MS = 4

export interface Told {
  readonly is: "ready" | "heard" | "denied" | "served" | "cpu"
  /** Of the machine's monotonic clock, ms. */
  readonly at: number
  /** CPU time that this process has used, ms. */
  readonly cpu: number
  /** Decisions that it has asked for. */
  readonly decisions: number
}

const now = (): number => Number(process.hrtime.bigint() / 1000n) / 1000

function tell(is: Told["is"]): void {
  const at = now()
  const { user, system } = process.cpuUsage()
  const told: Told = { is, at, cpu: (user + system) / 1000, decisions }
  // Who asked may be gone already.
  process.send?.(told, undefined, undefined, () => {})
}

let denied = false
let decisions = 0
const [name, place] = process.argv.slice(2) as [StoreName, string]
const release = { version: "1", policy: { evaluate: () => "allow" as const } }
const guard = await connect({
  rollout: "bench",
  store: readerAt(name, place),
  releases: new Map([["1", release]]),
  bootstrap: "1",
  lastKnownGood: false,
})
await listenBare(name, place, () => tell("heard"))

setInterval(() => {
  decisions++
  const { source } = guard.session("one").evaluate({ action: "refund" })
  if ((source === "lockdown") === denied) return
  denied = !denied
  tell(denied ? "denied" : "served")
}, DECIDE_EVERY_MS)
process.on("message", () => tell("cpu"))
process.on("disconnect", () => process.exit(0))
tell("ready")
