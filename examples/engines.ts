import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { embed, memoryStore, releaseDirectory } from "serin"
import { rulesEngine } from "serin/engines/rules"
import type { Engine } from "serin"
import { authensorEngine } from "serin/engines/authensor"
import { cedarEngine } from "serin/engines/cedar"
import { opaEngine } from "serin/engines/opa"
import { fakeClock } from "serin/testing"
import { opaModule } from "../test/engines/opa-module.js"

// From ordered rules to another engine, as a canary: both judge every call, and what differs is seen before anybody is served by it.

const rules = `rules:
  - { id: large-refund, action: refund, when: input.amount > 250, effect: escalate }
  - { id: refund, action: refund, effect: allow }
  - { id: read, action: "get_*", effect: allow }
`

interface Rewrite {
  readonly name: string
  readonly engine: Engine
  readonly files: Readonly<Record<string, string | Uint8Array>>
}

/** In your code: `import { PolicyEngine } from "@authensor/engine"`. This one has its methods, and looks at actions alone. */
class PolicyEngine {
  evaluate({ action }: { action: { type: string } }, policies: { id: string; rules: Rule[] }[]): object {
    for (const { id: policyId, rules } of policies) {
      const rule = rules.find((one) => one.action === undefined || one.action === action.type)
      if (rule) return { decision: { outcome: rule.effect, policyId, matchedRules: [{ ruleId: rule.id }] } }
    }
    return { decision: { outcome: "deny" } }
  }
}
interface Rule {
  readonly id: string
  readonly effect: string
  readonly action?: string
}

const rewrites: readonly Rewrite[] = [
  {
    name: "cedar",
    engine: cedarEngine(),
    // Cedar has no patterns for actions: `get_invoice` was forgotten.
    files: {
      "refunds.cedar": `
@id("refund")
permit(principal, action == Action::"refund", resource);
@id("large-refund") @reason("a human looks at it") @serin_outcome("escalate")
permit(principal, action == Action::"refund", resource) when { context.input.amount > 250 };
@id("read")
permit(principal, action == Action::"get_order", resource);
`,
    },
  },
  {
    name: "opa",
    engine: opaEngine({ entrypoint: "agent/record" }),
    // `opa build -t wasm -e agent/record` writes such a module of
    //
    //     record := { "outcome": "allow", "rules": ["small"] } if input.input.amount <= data.limit
    //     record := { "outcome": "escalate", "reason": "large", "rules": ["large", "all"] } if input.input.amount > data.limit
    //
    // which here is made by hand. A default was forgotten: for a call without an amount it is undefined, and that is an error.
    files: {
      "policy.wasm": opaModule({ entrypoints: ["agent/decision", "agent/record"] }),
      "data.json": `{"limit":250}`,
    },
  },
  {
    name: "authensor",
    engine: authensorEngine({ engine: () => new PolicyEngine() }),
    // The amount was forgotten: every refund asks a person.
    files: {
      "policies.yaml": `id: shop
rules:
  - { id: refund, action: refund, effect: require_approval }
  - { id: read, effect: allow }
`,
    },
  },
]

const folder = await mkdtemp(join(tmpdir(), "serin-engines-"))
try {
  for (const rewrite of rewrites) await play(join(folder, rewrite.name), rewrite)
} finally {
  await rm(folder, { recursive: true })
}

async function play(root: string, { name, engine, files }: Rewrite): Promise<void> {
  await write(join(root, "1.0.0"), {
    "release.yaml": 'version: "1.0.0"\npolicy: { engine: rules }\n',
    "rules.yaml": rules,
  })
  const policy = `{ engine: ${name}, files: [${Object.keys(files).join(", ")}] }`
  await write(join(root, "1.1.0"), { "release.yaml": `version: "1.1.0"\npolicy: ${policy}\n`, ...files })
  await write(root, {
    "rollout.yaml": `rollout: engines\nstable: 1.0.0\ncanary:\n  release: 1.1.0\n  stages: [50, 100]\n  observation_period: 20m
  shadow: { period: 10m }\n  acceptance_criteria: { newly_denied_rate_max: 0.02, newly_allowed_rate_max: 0.02, escalate_rate_delta_max: 0.02, error_rate_delta_max: 0.01 }\n`,
  })
  const clock = fakeClock()
  const guard = await embed({
    rollout: join(root, "rollout.yaml"),
    releases: releaseDirectory(root, { engines: [rulesEngine(), engine] }),
    store: memoryStore(),
    start: true,
    clock,
  })
  const actions = ["refund", "get_order", "get_invoice"]
  for (let n = 0; guard.status().phase.phase !== "rolled_back" && n < 1000; n++) {
    const action = actions[n % 3]!
    const input = action === "refund" ? { amount: 10 * (n % 50) } : {}
    guard.session(`conversation-${n}`).evaluate({ action, input })
    clock.advance(2000)
    if (n % 30 === 0) await guard.judge()
    await guard.idle()
  }
  const { phase, state } = guard.status()
  console.log(`${name}: ${phase.phase} ${state.last.verdict?.cause ?? ""}`.trim())
  for (const { action, stable, canary } of guard.diffs()) console.log(`${action}: ${said(stable)} → ${said(canary)}`)
  await guard.close()
}

function said({ outcome, rule }: { outcome: string; rule?: string | undefined }): string {
  return rule === undefined ? outcome : `${outcome} by ${rule}`
}

async function write(root: string, files: Rewrite["files"]): Promise<void> {
  await mkdir(root, { recursive: true })
  for (const [path, content] of Object.entries(files)) await writeFile(join(root, path), content)
}
