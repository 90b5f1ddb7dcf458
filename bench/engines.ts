import { createRequire } from "node:module"
import type * as Cedar from "@cedar-policy/cedar-wasm/nodejs"
import { createGuard } from "serin"
import type { Call, GuardOptions, Policy, StateReader } from "serin"
import { authensorPolicy } from "serin/engines/authensor"
import { cedarEngine } from "serin/engines/cedar"
import { opaEngine } from "serin/engines/opa"
import { metricProducer } from "serin/metric-producer"
import { PolicyEngine } from "../test/engines/authensor-classes.js"
import type { RulePolicy } from "../test/engines/authensor-classes.js"
import { opaModule } from "../test/engines/opa-module.js"
import { standing } from "./guards.js"
import { compare } from "./measure.js"
import type { Batch, Row } from "./measure.js"
import { tellRows } from "./table.js"

interface OpaLibrary {
  loadPolicySync(module: Uint8Array): { evaluate(input: object): unknown }
}

const load = createRequire(import.meta.url)
const call: Call = { action: "a3", input: { amount: 5, note: "a short text", tags: ["x", "y"] } }
const context = { sessionId: "s", startedAt: 0 }
let sink = 0

/** Tell what a decision by each engine takes, alone and behind a guard, beside the engine's own API. */
export function tellEngines(rounds: number): void {
  const state = standing(0)
  tellRows([...cedarRows(state, rounds), ...opaRows(state, rounds), ...authensorRows(state, rounds)])
}

function cedarRows(state: StateReader, rounds: number): Row[] {
  const text = Array.from(
    { length: 10 },
    (_, i) => `permit(principal, action == Action::"a${i}", resource) when { context.input.amount < ${10 * i} };`,
  ).join("\n")
  const library = load("@cedar-policy/cedar-wasm/nodejs") as typeof Cedar
  library.preparsePolicySet("bench", { staticPolicies: text })
  const direct = (): unknown =>
    library.statefulIsAuthorized({
      principal: { type: "Session", id: "s" },
      action: { type: "Action", id: "a3" },
      resource: { type: "Unspecified", id: "resource" },
      context: { input: { amount: 5, note: "a short text", tags: ["x", "y"] } },
      preparsedPolicySetId: "bench",
      entities: [],
    })
  return both("cedar, 10 policies", cedarEngine().compile([{ path: "p.cedar", text }]), direct, state, rounds)
}

function opaRows(state: StateReader, rounds: number): Row[] {
  const bytes = opaModule()
  const loaded = (load("@open-policy-agent/opa-wasm") as OpaLibrary).loadPolicySync(bytes)
  const direct = (): unknown =>
    loaded.evaluate({ action: call.action, input: call.input, session: { id: context.sessionId } })
  return both(
    "opa, a module of one comparison",
    opaEngine().compile([{ path: "p.wasm", text: "", bytes }]),
    direct,
    state,
    rounds,
  )
}

function authensorRows(state: StateReader, rounds: number): Row[] {
  const rules = Array.from({ length: 10 }, (_, i) => ({ id: `r${i}`, effect: "allow", action: `a${i}`, max: 10 * i }))
  const policies: RulePolicy[] = [{ id: "p", rules }]
  const engine = new PolicyEngine()
  const direct = (): unknown =>
    engine.evaluate(
      {
        id: "s",
        timestamp: new Date(0).toISOString(),
        action: { type: "a3", resource: "", parameters: { amount: 5, note: "a short text", tags: ["x", "y"] } },
        principal: { type: "agent", id: "s" },
        context: { sessionId: "s" },
      },
      policies,
    )
  const policy = authensorPolicy(policies, { engine: () => new PolicyEngine() })
  return both("authensor, an engine of ten rules", policy, direct, state, rounds)
}

function both(name: string, policy: Policy, direct: () => unknown, state: StateReader, rounds: number): Row[] {
  const versions = ["1", "2"].map((version) => [version, { version, policy }] as const)
  const options: GuardOptions<Call, "sync"> = {
    rollout: "bench",
    state,
    releases: new Map(versions),
    metrics: metricProducer(),
  }
  const session = createGuard(options).session("session-1")
  const theirs = repeat(direct)
  return [
    compare(
      `${name} vs its own API`,
      repeat(() => policy.evaluate(call, context)),
      theirs,
      rounds,
    ),
    compare(
      `${name}, guarded vs its own API`,
      repeat(() => session.evaluate(call)),
      theirs,
      rounds,
    ),
  ]
}

function repeat(once: () => unknown): Batch {
  return (n) => {
    for (let i = 0; i < n; i++) if (once() !== null) sink++
  }
}
