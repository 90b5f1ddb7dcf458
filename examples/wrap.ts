import { embed } from "serin"

/** What the application hands to its policy, and what it gets: its own types, which serin does not need to know. */
interface Envelope {
  readonly action: string
  readonly amount: number
  readonly context: { readonly sessionId: string }
}
interface Answer {
  readonly allowed: boolean
  readonly because: string
}

/** The policy in force, and its successor. */
const v1 = {
  evaluate: ({ amount }: Envelope): Answer => ({ allowed: amount <= 100, because: "up to 100" }),
}
const v2 = {
  evaluate: ({ amount }: Envelope): Answer => ({ allowed: amount < 100, because: "below 100" }),
}

const guard = await embed({ rollout: `${import.meta.dirname}/safety/wrap.yaml`, start: true })
const evaluate = guard.wrap(v1.evaluate, v2.evaluate, {
  session: (envelope) => envelope.context.sessionId,
  outcome: ({ allowed, because }) => ({ outcome: allowed ? "allow" : "deny", rule: because }),
})

// The same signature in and out. Ten conversations ask for 10, 20, … 100; nobody is served by v2 yet, but it judges too.
const answers = Array.from({ length: 10 }, (_, i) =>
  evaluate({ action: "issue_refund", amount: 10 * (i + 1), context: { sessionId: `conversation-${i}` } }),
)
console.log(`${answers.filter(({ allowed }) => allowed).length} of ${answers.length} allowed`)

await guard.idle()
for (const { action, stable, canary, calls } of guard.diffs()) {
  console.log(`${action}: ${stable.outcome} (${stable.rule}) → ${canary.outcome} (${canary.rule}), ${calls} time(s)`)
}
await guard.close()
