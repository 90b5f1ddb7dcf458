import { writeFileSync } from "node:fs"
import { tellCosts } from "./compiled.js"
import { call, comparing, guarded, guardFor, IDS, keep, provider, releases, requireKept } from "./guards.js"
import { handWrittenCanary } from "./hand-written.js"
import { delaysUnderLoad, tellLoad } from "./load.js"
import { compare, compareBursts, garbage, type Batch } from "./measure.js"
import { afterSessions } from "./sessions.js"
import { shadowCost, workOf } from "./shadow.js"
import { ns, tellRows } from "./table.js"

/** Tell what a decision costs, beside a canary that a team writes by hand, and beside nothing. */
export async function decisions(rounds: number, quick: boolean, json: string | undefined): Promise<void> {
  const rows = [
    compare("guarded decision vs hand-written-otel", guarded(guardFor(0)), byHand(), rounds),
    compare(
      "guarded decision with metric-producer vs hand-written-otel",
      guarded(guardFor(0, "producer")),
      byHand(),
      rounds,
    ),
    compare("guarded decision with metric-producer vs direct-call", guarded(guardFor(0, "producer")), direct(), rounds),
    compare("decision after 1,000 sessions vs after-1-session", afterSessions(1_000), afterSessions(1), rounds),
    compare("decision after 1,000,000 sessions vs after-1-session", afterSessions(1_000_000), afterSessions(1), rounds),
  ]
  const log = guardFor(0, "producer", { decisionLog: { write() {} } })
  rows.push(
    await compareBursts(
      "decision with a decision log vs without",
      guarded(log),
      guarded(guardFor(0, "producer")),
      () => log.idle(),
      { n: 5000, rounds: rounds * 5 },
    ),
  )
  const unlimited = { queue: Number.POSITIVE_INFINITY, cpuShare: 1 }
  const noop = () => "allow" as const
  const shadowed = []
  for (const [what, judge] of [
    ["a policy of 20 µs", workOf(20)],
    ["a policy of no time", noop],
  ] as const) {
    const name = `call judged by both vs both-policies: ${what}`
    shadowed.push(await shadowCost(name, () => comparing(judge, unlimited), judge, rounds))
  }
  rows.push(...shadowed)

  const load = await delaysUnderLoad(quick ? 1 : 5)
  const bytes = {
    api: garbage(guarded(guardFor(0))),
    producer: garbage(guarded(guardFor(0, "producer"))),
    byHand: garbage(byHand()),
  }

  tellRows(rows)
  console.log(
    `garbage per decision: ${bytes.api.toFixed(0)} B, with metric-producer ${bytes.producer.toFixed(0)} B, hand-written ${bytes.byHand.toFixed(0)} B`,
  )
  for (const { name, oursNs, aimNs } of shadowed) console.log(`${name}: ${ns(oursNs)}, aim ${ns(aimNs)}`)
  tellLoad(load)
  await tellCosts("analysis", quick)
  requireKept()

  if (json !== undefined) {
    const garbageRow = (name: string, ours: number) => {
      return { name, ratio: ours / bytes.byHand, oursBytes: ours, theirsBytes: bytes.byHand }
    }
    const table = [
      ...rows,
      ...load.rows,
      garbageRow("garbage of a guarded decision vs hand-written-otel", bytes.api),
      garbageRow("garbage of a guarded decision with metric-producer vs hand-written-otel", bytes.producer),
    ]
    writeFileSync(json, `${JSON.stringify(table, null, 2)}\n`)
  }
}

function byHand(): Batch {
  const allow = () => "allow" as const
  const canary = handWrittenCanary(provider().getMeter("app"), allow, allow)
  const sessions = IDS.map((id) => canary.session(id))
  return (n) => {
    for (let i = 0; i < n; i++) keep(sessions[i & 1023]!(call))
  }
}

function direct(): Batch {
  const policies = IDS.map((_, i) => releases.get(i % 20 === 0 ? "2" : "1")!.policy)
  const context = { sessionId: "a", startedAt: 0 }
  return (n) => {
    for (let i = 0; i < n; i++) keep(policies[i & 1023]!.evaluate(call, context))
  }
}
