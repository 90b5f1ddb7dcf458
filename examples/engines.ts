import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { embed, memoryStore, releaseDirectory, rulesEngine } from "serin"
import { cedarEngine } from "serin/engines/cedar"
import { fakeClock } from "serin/testing"

// From ordered rules to Cedar, as a canary: both judge every call, and what differs is seen before anybody is served by it.

const releases = {
  "1.0.0": {
    "release.yaml": 'version: "1.0.0"\npolicy: { engine: rules }\n',
    "rules.yaml": `rules:
  - { id: large-refund, action: refund, when: input.cents > 25000, effect: escalate }
  - { id: refund, action: refund, effect: allow }
  - { id: read, action: "get_*", effect: allow }
`,
  },
  "1.1.0": {
    "release.yaml": 'version: "1.1.0"\npolicy: { engine: cedar, files: [refunds.cedar] }\n',
    // Cedar has no patterns for actions: `get_invoice` was forgotten.
    "refunds.cedar": `
@id("refund")
permit(principal, action == Action::"refund", resource);
@id("large-refund") @reason("a human looks at it") @serin_outcome("escalate")
permit(principal, action == Action::"refund", resource) when { context.input.cents > 25000 };
@id("read")
permit(principal, action == Action::"get_order", resource);
`,
  },
}

const folder = await mkdtemp(join(tmpdir(), "serin-engines-"))
try {
  for (const [version, files] of Object.entries(releases)) {
    await mkdir(join(folder, version))
    for (const [path, text] of Object.entries(files)) await writeFile(join(folder, version, path), text)
  }
  const rollout = join(folder, "rollout.yaml")
  await writeFile(
    rollout,
    `rollout: engines\nstable: 1.0.0\ncanary:\n  release: 1.1.0\n  stages: [50, 100]\n  observation_period: 20m
  shadow: { period: 10m }\n  acceptance_criteria: { newly_denied_rate_max: 0.02, newly_allowed_rate_max: 0.02 }\n`,
  )
  const clock = fakeClock()
  const engines = [rulesEngine(), cedarEngine()]
  const guard = await embed({
    rollout,
    releases: releaseDirectory(folder, { engines }),
    store: memoryStore(),
    start: true,
    clock,
  })
  const actions = ["refund", "get_order", "get_invoice"]
  for (let n = 0; guard.status().phase.phase !== "rolled_back" && n < 1000; n++) {
    guard.session(`conversation-${n}`).evaluate({ action: actions[n % 3]!, input: { cents: 1000 * (n % 50) } })
    clock.advance(2000)
    if (n % 30 === 0) await guard.judge()
    await guard.idle()
  }
  const { phase, state } = guard.status()
  console.log(`${phase.phase} ${state.last.verdict?.cause ?? ""}`.trim())
  for (const { action, stable, canary } of guard.diffs()) {
    console.log(`${action}: ${stable.outcome} by ${stable.rule} → ${canary.outcome} by ${canary.rule ?? "no policy"}`)
  }
  await guard.close()
} finally {
  await rm(folder, { recursive: true })
}
