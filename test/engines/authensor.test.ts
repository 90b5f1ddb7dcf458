import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  aegisScanner,
  authensorEngine,
  authensorOutcome,
  authensorPolicy,
  sentinelMonitor,
} from "../../src/engines/authensor.js"
import { isSerinError } from "../../src/errors.js"
import type { Call } from "../../src/model/call.js"
import type { Evaluation, Release, Scanner } from "../../src/release/ports.js"
import { harness, stateWith } from "../guard/harness.js"
import { runs } from "../runs.js"
import { AegisScanner, PolicyEngine, Sentinel } from "./authensor-classes.js"
import type { AlertRule, DetectorRule, RulePolicy } from "./authensor-classes.js"
import { bothArms } from "./both-arms.js"

const context = { sessionId: "s1", startedAt: 0 }
const engine = (): PolicyEngine => new PolicyEngine()
const refund = (amount: number): Call => ({ action: "refund", input: { amount } })
const upTo = (max: number): RulePolicy => ({
  id: "refunds",
  rules: [
    { id: "small", effect: "allow", action: "refund", max },
    { id: "large", effect: "require_approval", action: "refund" },
  ],
})

function problemsOf(text: string): string[] {
  try {
    authensorEngine({ engine }).compile([{ path: "p.yaml", text }])
  } catch (error) {
    if (!isSerinError(error)) throw error
    expect(error.code).toBe("RULES_INVALID")
    return error.problems.map(({ where, message, fix = "" }) => `${where}: ${message} (${fix})`)
  }
  throw new Error("it was compiled")
}

describe("authensorPolicy", () => {
  it("judges in both arms, each by policies of its own", () => {
    const { stable, canary } = bothArms(
      authensorPolicy([upTo(100)], { engine }),
      authensorPolicy([upTo(50)], { engine }),
    )
    expect(stable.evaluate(refund(80))).toMatchObject({ outcome: "allow", rule: "refunds/small", reason: "by small" })
    expect(canary.evaluate(refund(80))).toMatchObject({ outcome: "escalate", rule: "refunds/large", arm: "canary" })
    expect(canary.evaluate({ action: "drop" })).toMatchObject({ outcome: "deny", reason: "nothing matched" })
  })

  it("has copies: what is done to a list later, or by another arm's engine, changes nothing", () => {
    const shared = [upTo(100), { id: "first", priority: 9, rules: [{ id: "reads", effect: "allow", action: "read" }] }]
    const [one, two] = [authensorPolicy(shared, { engine }), authensorPolicy(shared, { engine })]
    one.evaluate(refund(80), context) // sorts its list in place
    expect(shared.map(({ id }) => id)).toEqual(["refunds", "first"])
    shared.push({ id: "open", priority: 99, rules: [{ id: "all", effect: "allow" }] })
    expect(two.evaluate({ action: "drop" }, context)).toMatchObject({ outcome: "deny" })
    const made: PolicyEngine[] = []
    const counted = (): PolicyEngine => (made.push(new PolicyEngine()), made.at(-1)!)
    authensorPolicy(shared, { engine: counted })
    authensorPolicy(shared, { engine: counted })
    expect(new Set(made).size).toBe(2)
  })

  it("tells the engine what the session did, and what a call is, as the host says", () => {
    const actions: unknown[] = []
    const policy = authensorPolicy([upTo(100)], {
      engine,
      envelope: ({ input }) => ({
        action: { type: "refund", parameters: input as object },
        principal: { type: "agent", id: "a" },
      }),
      sessionContext: ({ action }) => (actions.push(action), { actions }),
    })
    const outcomes = [1, 2, 3].map(() => policy.evaluate({ action: "anything", input: { amount: 5 } }, context))
    expect(outcomes.map((one) => (one as { outcome: string }).outcome)).toEqual(["allow", "allow", "deny"])
    expect(outcomes[2]).toEqual({ outcome: "deny", reason: "rate_limited", rule: "session" })
  })

  it("asks the same of both arms, and fails on a call that it cannot say", () => {
    const seen: object[] = []
    const watch = () => ({ evaluate: (envelope: object) => (seen.push(envelope), { outcome: "allow" }) })
    const policy = authensorPolicy([upTo(1)], { engine: watch })
    policy.evaluate({ action: "refund", resource: "order/7", input: { amount: 5 }, principal: "ana" }, context)
    policy.evaluate({ action: "read", principal: { type: "user", id: "eve", name: "Eve" } }, context)
    policy.evaluate({ action: "read" }, context)
    const time = new Date(0).toISOString()
    const rest = { id: "s1", timestamp: time, context: { sessionId: "s1" } }
    expect(seen).toEqual([
      {
        ...rest,
        action: { type: "refund", resource: "order/7", parameters: { amount: 5 } },
        principal: { type: "agent", id: "ana" },
      },
      { ...rest, action: { type: "read", resource: "" }, principal: { type: "user", id: "eve", name: "Eve" } },
      { ...rest, action: { type: "read", resource: "" }, principal: { type: "agent", id: "s1" } },
    ])
    for (const bad of [
      { resource: 7 },
      { principal: { name: "ana" } },
      { principal: null },
      { input: [1] },
      { input: "x" },
    ]) {
      expect(() => policy.evaluate({ action: "read", ...bad }, context)).toThrow(/for another one give `envelope`/)
    }
  })

  it("decides as the engine alone does, for any policies and calls", () => {
    const rule = fc.record({
      id: fc.constantFrom("a", "b", "c"),
      effect: fc.constantFrom("allow", "deny", "require_approval", "rate_limited", "block", "escalate"),
      action: fc.constantFrom("refund", "read"),
      max: fc.integer({ min: 0, max: 20 }),
    })
    const policies = fc.array(
      fc.record({
        id: fc.constantFrom("p", "q"),
        priority: fc.integer({ min: 0, max: 3 }),
        rules: fc.array(rule, { maxLength: 4 }),
      }),
      { minLength: 1, maxLength: 4 },
    )
    fc.assert(
      fc.property(
        policies,
        fc.constantFrom("refund", "read"),
        fc.integer({ min: 0, max: 25 }),
        (list, action, amount) => {
          const judged = authensorPolicy(list, { engine }).evaluate({ action, input: { amount } }, context)
          const envelope = { action: { type: action, parameters: { amount } }, principal: { type: "agent", id: "s1" } }
          const { decision } = new PolicyEngine().evaluate(envelope, [...list]) as { decision: { outcome: string } }
          const words = { allow: "allow", require_approval: "escalate", escalate: "escalate" } as Record<string, string>
          expect((judged as { outcome: string }).outcome).toBe(words[decision.outcome] ?? "deny")
        },
      ),
      { numRuns: runs(100) },
    )
  })

  it("refuses options that are none, and policies that cannot be copied", () => {
    expect(() => authensorPolicy([], { engine })).toThrow("policies must be a list of at least one")
    expect(() => authensorPolicy([upTo(1)], {} as never)).toThrow("engine must be a function, got undefined")
    expect(() => authensorPolicy([upTo(1)], { engine: () => ({}) as never })).toThrow(
      /engine\(\) must have the methods evaluate/,
    )
    expect(() => authensorPolicy([{ when: () => true }], { engine })).toThrow(
      /must be data, so that each release has a copy/,
    )
    expect(() => authensorPolicy([7 as never], { engine })).toThrow("policies must be a list of objects")
    expect(() => authensorPolicy([upTo(1)], { engine, stateful: 1 as never })).toThrow("stateful must be true or false")
    expect(() => authensorEngine({ engine, envelop: 1 } as never)).toThrow(/did you mean envelope/)
    expect(authensorPolicy([upTo(1)], { engine, stateful: true }).stateful).toBe(true)
  })
})

describe("authensorEngine", () => {
  it("reads a policy, a list, and `policies`, in YAML and JSON", () => {
    const texts = [JSON.stringify(upTo(50)), JSON.stringify([upTo(50)]), `policies: [${JSON.stringify(upTo(50))}]`]
    for (const text of texts) {
      const policy = authensorEngine({ engine }).compile([{ path: "p.yaml", text }])
      expect(policy.evaluate(refund(51), context)).toMatchObject({ outcome: "escalate", rule: "refunds/large" })
    }
  })

  it("refuses what is no policy, and an effect that nobody knows", () => {
    expect(problemsOf("policies: []")).toEqual(["files: there is no policy ()"])
    expect(problemsOf("id: a")).toEqual(["p.yaml: policy 1: must have a text `id` and a list `rules` ()"])
    expect(problemsOf("{ id: a, rules: [{ id: r, effect: alow }] }")).toEqual([
      "p.yaml: policy 1 `a`, rule 1: the effect is the unknown `alow` (did you mean `allow`?)",
    ])
    expect(problemsOf("{ id: a, rules: [], defaultEffect: maybe }")[0]).toMatch(
      /defaultEffect: the effect is the unknown/,
    )
    expect(problemsOf("[{ id: a, rules: [] }, { id: a, rules: [] }]")[0]).toMatch(
      /the `id` a is taken by p\.yaml: policy 1/,
    )
    expect(problemsOf("{ id: a, rules: &x [], other: *x }")[0]).toMatch(/alias/)
    expect(problemsOf("{ id: [")[0]).toMatch(/^p\.yaml:1/)
  })
})

describe("authensorOutcome", () => {
  it.each<[unknown, Evaluation]>([
    [{ decision: { outcome: "allow" } }, { outcome: "allow" }],
    [
      { decision: { outcome: "require_approval", policyId: "p" } },
      { outcome: "escalate", reason: "require_approval", rule: "p" },
    ],
    [{ decision: { outcome: "rate_limited", reason: "10 a minute" } }, { outcome: "deny", reason: "10 a minute" }],
    [{ decision: "block" }, { outcome: "deny", reason: "block" }],
    [{ outcome: "escalate" }, { outcome: "escalate" }],
    ["block", { outcome: "deny", reason: "block" }],
    [
      { outcome: "deny", policyId: "p", matchedRules: [{ ruleId: "a" }, { ruleId: "b" }] },
      { outcome: "deny", rule: "p/a, p/b" },
    ],
  ])("reads %j", (result, evaluation) => {
    expect(authensorOutcome(result)).toEqual(evaluation)
  })

  it.each([
    undefined,
    null,
    true,
    "ALLOW",
    "",
    {},
    { decision: null },
    { decision: {} },
    { decision: { outcome: true } },
    Object.create({ outcome: "allow" }),
  ])("refuses %j", (result: unknown) => {
    expect(() => authensorOutcome(result)).toThrow(/the policy engine answered/)
  })
})

describe("aegisScanner", () => {
  const scanner = (rules?: DetectorRule[], outputRules?: DetectorRule[]) => new AegisScanner(rules, outputRules)
  const input = { ...context, direction: "input" } as const
  const output = { ...context, direction: "output" } as const
  const secret: DetectorRule = { id: "key", type: "credentials", subType: "KEY", pattern: /sk-\d+/g }

  it("flags, blocks from a level of threat on, masks, and tells what was looked for, never what was found", () => {
    const one = aegisScanner({ scanner, scan: { mode: "redact" } as object })
    expect(one.name).toBe("aegis")
    expect(one.scan("nothing", input)).toEqual({ result: "clean" })
    const told = one.scan("mail ana@example.org", input)
    expect(told).toEqual({ result: "flagged", findings: [{ category: "pii", message: "EMAIL" }], redacted: "mail [x]" })
    expect(JSON.stringify(told)).not.toContain("ana")
    expect(aegisScanner({ scanner, blockAt: "low" }).scan("ana@example.org", input)).toMatchObject({
      result: "blocked",
    })
  })

  it("looks with the rules of its release, and at outputs with those for outputs", () => {
    const one = aegisScanner({ scanner, rules: [], outputRules: [secret] })
    expect(one.scan("ana@example.org sk-1", input)).toEqual({ result: "clean" })
    expect(one.scan("ana@example.org sk-1", output)).toMatchObject({
      result: "blocked",
      findings: [{ category: "credentials" }],
    })
  })

  it("looks at the whole of a long text, which the scanner itself would cut and call safe", () => {
    const text = `${"x ".repeat(60_000)}ana@example.org`
    expect(new AegisScanner().scan(text)).toMatchObject({ safe: true })
    expect(aegisScanner({ scanner }).scan(text, input)).toMatchObject({ result: "flagged" })
    const limited = aegisScanner({ scanner, scan: { maxContentLength: 10 } })
    expect(limited.scan("0123456789", input)).toEqual({ result: "clean" })
    expect(() => limited.scan("01234567890", input)).toThrow("the text has 11 characters, and maxContentLength is 10")
  })

  it("gives each arm copies of its rules, expressions too", () => {
    const rules = [secret]
    const given: (DetectorRule[] | undefined)[] = []
    const keep = (own?: DetectorRule[]): AegisScanner => (given.push(own), new AegisScanner(own))
    const [one, two] = [aegisScanner({ scanner: keep, rules }), aegisScanner({ scanner: keep, rules })]
    given[0]!.push({ ...secret, pattern: /nothing/g })
    given[0]![0]!.pattern.lastIndex = 5
    rules.pop()
    expect(given[1]).toHaveLength(1)
    expect(given[1]![0]!.pattern).not.toBe(given[0]![0]!.pattern)
    expect(given[1]![0]!.pattern.lastIndex).toBe(0)
    for (const scan of [one, two]) expect(scan.scan("sk-1", input)).toMatchObject({ result: "blocked" })
  })

  it("scans in both arms of a guard", () => {
    const release = (version: string, scanners: Scanner[]): readonly [string, Release] => [
      version,
      { version, policy: { evaluate: () => "allow" }, scanners },
    ]
    const releases = new Map([
      release("1.0.0", [aegisScanner({ scanner })]),
      release("2.0.0", [aegisScanner({ scanner, rules: [secret] })]),
    ])
    const { guard } = harness({}, stateWith(), { releases })
    const sessions = Array.from({ length: 64 }, (_, i) => guard.session(`s-${i}`))
    for (const arm of ["stable", "canary"] as const) {
      const session = sessions.find((one) => one.arm === arm)!
      expect(session.scan("ana@example.org", { direction: "input" }).result).toBe(
        arm === "stable" ? "flagged" : "clean",
      )
      expect(session.scan("sk-1", { direction: "output" }).result).toBe(arm === "stable" ? "clean" : "blocked")
    }
  })

  it.each([
    ["nothing", undefined],
    ["safe beside what was detected", { safe: true, threatLevel: "none", detections: [{ type: "pii" }] }],
    ["unsafe without a detection", { safe: false, threatLevel: "high", detections: [] }],
    ["a threat that nobody knows", { safe: false, threatLevel: "severe", detections: [{ type: "pii" }] }],
    ["no threat beside what was detected", { safe: false, threatLevel: "none", detections: [{ type: "pii" }] }],
    ["a detection without a type", { safe: false, threatLevel: "high", detections: [{}] }],
    ["a masked text that is none", { safe: false, threatLevel: "high", detections: [{ type: "pii" }], redacted: 7 }],
    ["a promise", Promise.resolve({ safe: true, detections: [] })],
  ])("fails on an answer with %s", (_, answer) => {
    expect(() => aegisScanner({ scanner: () => ({ scan: () => answer }) }).scan("x", input)).toThrow(
      /scanner|detection/,
    )
  })

  it("tells of the first thousand findings, and blocks by all of them", () => {
    const text = Array.from({ length: 1500 }, (_, i) => `sk-${i}`).join(" ")
    const told = aegisScanner({ scanner, rules: [secret] }).scan(text, input)
    expect(told.result).toBe("blocked")
    expect(told.findings).toHaveLength(1000)
  })

  it("refuses options that are none", () => {
    expect(() => aegisScanner({} as never)).toThrow("scanner must be a function")
    expect(() => aegisScanner({ scanner: () => ({}) as never })).toThrow(/scanner\(\) must have the methods scan/)
    expect(() => aegisScanner({ scanner, blockAt: "none" as never })).toThrow(/blockAt must be one of low, medium/)
    expect(() => aegisScanner({ scanner, scan: null as never })).toThrow("scan must be an object")
    expect(() => aegisScanner({ scanner, rule: [] } as never)).toThrow(/did you mean rules/)
  })
})

describe("sentinelMonitor", () => {
  const sentinel = (alertRules?: AlertRule[]) => new Sentinel({ alertRules })

  it("raises the sentinel's alerts by their rules, and its anomalies by their metrics", () => {
    const monitor = sentinelMonitor({ sentinel })
    expect(monitor.observe({ agentId: "a", cost: 5 }, context)).toEqual([])
    expect(monitor.observe({ agentId: "a", cost: 2000 }, context)).toEqual([
      { name: "large", message: "large: 2000" },
      { name: "anomaly_cost_rate" },
    ])
  })

  it("has rules of its own in each arm, also where they are the sentinel's, which all sentinels share", () => {
    const trap = [new Sentinel(), new Sentinel()]
    const made: Sentinel[] = []
    const keep = (alertRules?: AlertRule[]): Sentinel => (made.push(new Sentinel({ alertRules })), made.at(-1)!)
    const stable = sentinelMonitor({ sentinel: keep })
    const ofStable = made.at(-1)!
    const canary = sentinelMonitor({ sentinel: keep })
    ofStable.addAlertRule({ id: "any", threshold: 0 })
    ofStable.getAlertRules()[0]!.threshold = 1
    expect(stable.observe({ agentId: "a", cost: 5 }, context)).toHaveLength(2)
    expect(canary.observe({ agentId: "a", cost: 5 }, context)).toEqual([])
    // What would happen without copies.
    trap[0]!.addAlertRule({ id: "any", threshold: 0 })
    expect(trap[1]!.getAlertRules().map(({ id }) => id)).toContain("any")
  })

  it("takes the host's events as the host says", () => {
    const event = (seen: unknown, { sessionId }: { readonly sessionId: string }): object | null =>
      typeof seen === "number" ? { agentId: sessionId, cost: seen } : null
    const monitor = sentinelMonitor({ sentinel, rules: [{ id: "low", threshold: 3 }], event })
    expect(monitor.observe("a word", context)).toEqual([])
    expect(monitor.observe(4, context)).toEqual([{ name: "low", message: "low: 4" }])
    expect(() => sentinelMonitor({ sentinel }).observe("a word", context)).toThrow(
      /an event must be an object, got string/,
    )
  })

  it("fails on an answer that is none, and refuses options that are none", () => {
    const answering = (answer: unknown) =>
      sentinelMonitor({ sentinel: () => ({ processEvent: () => answer }), rules: [] })
    for (const answer of [
      undefined,
      [],
      { alerts: [] },
      { alerts: {}, anomalies: [] },
      { alerts: [{}], anomalies: [] },
    ]) {
      expect(() => answering(answer).observe({}, context)).toThrow(/sentinel's answer|an alert must name/)
    }
    expect(() => sentinelMonitor({} as never)).toThrow("sentinel must be a function")
    expect(() => sentinelMonitor({ sentinel, event: 7 as never })).toThrow("event must be a function")
    expect(() => sentinelMonitor({ sentinel: () => ({ processEvent: () => ({}) }) })).toThrow(/or give `rules`/)
    expect(() => sentinelMonitor({ sentinel: () => ({}) as never, rules: [] })).toThrow(
      /must have the methods processEvent/,
    )
  })
})
