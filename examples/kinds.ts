import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { embed, memoryStore } from "serin"
import type { Embedded, Session } from "serin"
import { fakeClock } from "serin/testing"

// Five canaries, each with another kind of component changed, on a clock that moves when told.

type Files = Readonly<Record<string, string>>
type SerinSession = Session<{ action: string; input?: unknown }, "sync">

interface Kind {
  readonly name: string
  readonly stable: Files
  /** What is another in the canary; the rest is stable's. */
  readonly canary: Files
  readonly criterion: string
  /** One conversation; `n` counts them. */
  readonly talk: (session: SerinSession, n: number) => void
}

const order = (n: number): string => `your order ${100_000 + n} is on its way`
const refund = (n: number) => ({ type: "refund", input: { amount: 10 * (n % 10) } })
const limits = (above: number): string =>
  JSON.stringify({ thresholds: [{ alert: "large_refund", event: "refund", field: "input.amount", above }] })
const patterns = (digits: string): string =>
  JSON.stringify({ patterns: [{ id: "card", category: "pii", pattern: `\\b\\d${digits}\\b`, redact: "[card]" }] })
const rules = (max: number): string =>
  `rules: [{ id: small, action: refund, when: input.amount <= ${max}, effect: allow }]`

/** Its tickets must be UUIDs, as the library that it is given understands them. */
const byLibrary = `export const policy = ({ sdk: { z } }) => {
  const ticket = z.string().uuid()
  return { evaluate: ({ input }) => (ticket.safeParse(input.ticket).success ? "allow" : "deny") }
}`
const ticketOf = (n: number): string => `11111111-2222-3333-4444-${String(n).padStart(12, "0")}`

const byConfig = `export const policy = ({ config }) => ({
  evaluate: ({ input }) => (input.amount <= config.max ? "allow" : "deny"),
})`
const schema = JSON.stringify({ type: "object", properties: { max: { type: "integer" } }, required: ["max"] })

const engine = "policy: { engine: rules }"
const code = "policy: { module: policy.mjs }"

const kinds: readonly Kind[] = [
  {
    name: "rules",
    stable: { "release.yaml": engine, "rules.yaml": rules(90) },
    canary: { "rules.yaml": rules(50) },
    criterion: "newly_denied_rate_max: 0.02",
    talk: (session, n) => session.evaluate({ action: "refund", ...refund(n) }),
  },
  {
    name: "scanner patterns",
    stable: {
      "release.yaml": `${engine}\nscanners: [{ name: pii, patterns: pii.yaml }]`,
      "rules.yaml": rules(90),
      "pii.yaml": patterns("{13,16}"),
    },
    canary: { "pii.yaml": patterns("{6,16}") }, // and so an order's number is a card
    criterion: "scan_flag_rate_delta_max: 0.05",
    talk: (session, n) => session.scan(n % 3 === 0 ? order(n) : "hello", { direction: "output" }),
  },
  {
    name: "monitor thresholds",
    stable: {
      "release.yaml": `${engine}\nmonitor: { thresholds: limits.yaml }`,
      "rules.yaml": rules(90),
      "limits.yaml": limits(90),
    },
    canary: { "limits.yaml": limits(40) },
    criterion: "alert_rate_delta_max: 0.05",
    talk(session, n) {
      session.evaluate({ action: "refund", ...refund(n) })
      session.observe(refund(n))
    },
  },
  {
    name: "sdk",
    stable: { "release.yaml": `${code}\nsdk: zod3`, "policy.mjs": byLibrary },
    canary: { "release.yaml": `${code}\nsdk: zod4` },
    criterion: "newly_denied_rate_max: 0.02",
    talk: (session, n) => session.evaluate({ action: "refund", input: { ticket: ticketOf(n) } }),
  },
  {
    name: "config",
    stable: {
      "release.yaml": `${code}\nconfig: { file: config.yaml, schema: schema.json }`,
      "policy.mjs": byConfig,
      "schema.json": schema,
      "config.yaml": "max: 500",
    },
    canary: { "config.yaml": "max: 90" },
    criterion: "newly_denied_rate_max: 0.02",
    talk: (session, n) => session.evaluate({ action: "refund", ...refund(n) }),
  },
]

const folder = await mkdtemp(join(tmpdir(), "serin-kinds-"))
try {
  for (const kind of kinds) console.log(`${kind.name}: ${await play(kind)}`)
  const [config] = kinds.slice(-1)
  console.log(`config that its schema refuses: ${await play({ ...config!, canary: { "config.yaml": 'max: "90"' } })}`)
} finally {
  await rm(folder, { recursive: true })
}

/** Roll a canary out to its end, and say what became of it. */
async function play({ name, stable, canary, criterion, talk }: Kind): Promise<string> {
  const root = join(folder, name.replaceAll(" ", "-"))
  for (const [version, files] of Object.entries({ "1.0.0": stable, "1.1.0": { ...stable, ...canary } })) {
    await mkdir(join(root, version), { recursive: true })
    for (const [path, text] of Object.entries(files)) {
      const written = path === "release.yaml" ? `version: ${version}\n${text}` : text
      await writeFile(join(root, version, path), written)
    }
  }
  const rollout = join(root, "rollout.yaml")
  await writeFile(
    rollout,
    `rollout: kinds\nstable: 1.0.0\ncanary:\n  release: 1.1.0\n  stages: [50, 100]\n  observation_period: 20m
  shadow: { period: 10m }\n  acceptance_criteria: { ${criterion} }\n`,
  )
  const clock = fakeClock()
  const guard = await embed({
    rollout,
    releases: root,
    store: memoryStore(),
    start: true,
    clock,
    modules: "in-process",
    sdks: { zod3: () => import("zod3"), zod4: () => import("zod") },
  })
  const unavailable = guard.status().unavailable.get("1.1.0")
  if (unavailable === undefined) await traffic(guard, clock, talk)
  const { phase, state } = guard.status()
  await guard.close()
  if (unavailable !== undefined) return `not served: ${unavailable.split("\n").at(-1)?.replaceAll(`${root}/`, "")}`
  return `${phase.phase} ${state.last.verdict?.cause ?? ""}`.trim()
}

async function traffic(guard: Embedded, clock: ReturnType<typeof fakeClock>, talk: Kind["talk"]): Promise<void> {
  for (let n = 0; n < 3000; n++) {
    talk(guard.session(`conversation-${n}`), n)
    clock.advance(2000)
    if (n % 30 > 0) continue
    await guard.idle()
    await guard.judge()
    const { phase } = guard.status().phase
    if (phase === "promoted" || phase === "rolled_back") return
  }
}
