// One of fifty processes that a kill must reach. It asks for a decision every few ms, as an agent that is busy would, and tells
// when the first one was denied; beside that it listens with the bare client of the same store, and tells when that heard.
import { connect } from "../../src/connect.js"
import { listenBare, storeAt, type StoreName } from "./stores.js"

const DECIDE_EVERY_MS = 4

/** Common to all processes of the machine, ms. */
const now = (): number => Number(process.hrtime.bigint() / 1000n) / 1000

const [name, place] = process.argv.slice(2) as [StoreName, string]
const release = { version: "1", policy: { evaluate: () => "allow" as const } }
const guard = await connect({
  rollout: "bench",
  store: await storeAt(name, place),
  releases: new Map([["1", release]]),
  bootstrap: "1",
  lastKnownGood: false,
})
await listenBare(name, place, () => process.send?.({ is: "heard", at: now() }))

let denied = false
setInterval(() => {
  const { source } = guard.session("one").evaluate({ action: "refund" })
  if ((source === "lockdown") === denied) return
  denied = !denied
  process.send?.({ is: denied ? "denied" : "served", at: now() })
}, DECIDE_EVERY_MS)
process.on("disconnect", () => process.exit(0))
process.send?.({ is: "ready", at: now() })
