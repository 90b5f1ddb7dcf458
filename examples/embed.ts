import { embed } from "serin"

const safety = `${import.meta.dirname}/safety`
const guard = await embed({ rollout: `${safety}/rollout.yaml`, releases: `${safety}/releases`, start: true })

const session = guard.session("conversation-42")
const decision = session.evaluate({ action: "issue_refund", input: { order: "A-1001", amount: 40 } })
console.log(`${decision.outcome} by release ${decision.release}, rule ${decision.rule}`)

await guard.close()
