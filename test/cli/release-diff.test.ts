import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ruleChanges, together } from "../../src/cli/rule-changes.js"
import type { WrittenRule } from "../../src/cli/rule-changes.js"
import { conditionChange } from "../../src/engines/condition-change.js"
import { rulesEngine } from "../../src/engines/rules.js"
import type { Call } from "../../src/model/call.js"
import type { Effect } from "../../src/model/decision.js"
import { useBench } from "./harness.js"
import { runs } from "../runs.js"

const bench = useBench()

async function release(path: string, rules: string, engine = "rules"): Promise<void> {
  await bench().write(`${path}/release.yaml`, `version: "${path}"\npolicy: { engine: ${engine} }\n`)
  await bench().write(`${path}/rules.yaml`, rules)
}

const OLD = `rules:
  - { id: read, action: "get_*", effect: allow }
  - { id: large, action: refund, when: input.amount > 1000, effect: deny, reason: too much }
  - { id: refund, action: refund, effect: allow }
  - { id: close, action: close, effect: escalate }
`

/** The old rules with one of them in another place. */
function moved(id: string, to: number): string {
  const [head = "", ...rules] = OLD.trimEnd().split("\n")
  const rest = rules.filter((rule) => !rule.includes(`id: ${id},`))
  return [head, ...rest.toSpliced(to, 0, ...rules.filter((rule) => !rest.includes(rule))), ""].join("\n")
}

async function diff(rules: string): Promise<string[]> {
  await release("1.4.0", OLD)
  await release("1.5.0", rules)
  const { code, out } = await bench().serin("release", "diff", "1.4.0", "1.5.0")
  expect(code).toBe(0)
  return out
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => line.trim().replaceAll(/ {2,}/g, " "))
}

describe("serin release diff", () => {
  it.each([
    [
      "a lower limit of a denial",
      OLD.replace("1000", "500"),
      ["tightened large when input.amount > 1000 → input.amount > 500"],
      "tighten",
    ],
    [
      "a higher limit",
      OLD.replace("1000", "2000"),
      ["loosened large when input.amount > 1000 → input.amount > 2000"],
      "loosen",
    ],
    [
      "a denial that became an escalation",
      OLD.replace("effect: deny", "effect: escalate"),
      ["loosened large effect deny → escalate"],
      "loosen",
    ],
    [
      "an allowance that became a denial",
      OLD.replace('"get_*", effect: allow', '"get_*", effect: deny'),
      ["tightened read effect allow → deny"],
      "tighten",
    ],
    [
      "a removed denial",
      OLD.replace(/.*large.*\n/, ""),
      ["loosened large removed: deny refund when input.amount > 1000"],
      "loosen",
    ],
    ["a removed allowance", OLD.replace(/.*read.*\n/, ""), ["tightened read removed: allow get_*"], "tighten"],
    [
      "an added allowance",
      `${OLD}  - { id: list, action: "list_*", effect: allow }\n`,
      ["loosened list added: allow list_*"],
      "loosen",
    ],
    [
      "an added denial",
      `${OLD}  - { id: wipe, action: wipe, effect: deny }\n`,
      ["tightened wipe added: deny wipe"],
      "tighten",
    ],
    ["a wider allowance", OLD.replace("get_*", "g*"), ["loosened read action get_* → g*"], "loosen"],
    ["a narrower allowance", OLD.replace("get_*", "get_user*"), ["tightened read action get_* → get_user*"], "tighten"],
    ["another reason", OLD.replace("too much", "far too much"), ["no effect large reason"], "refactor"],
    ["an order that does not matter", moved("read", 2), ["no effect read moved behind refund"], "refactor"],
  ])("tells %s", async (_, rules, expected, intent) => {
    const lines = await diff(rules)
    for (const line of expected) expect(lines.some((one) => one.startsWith(line))).toBe(true)
    expect(lines.at(-1)).toContain(`\`intent: ${intent}\``)
  })

  it.each([
    ["both directions", OLD.replace("1000", "500").replace("get_*", "g*")],
    ["an added escalation, which takes from both", `${OLD}  - { id: x, action: x, effect: escalate }\n`],
    ["a condition that is another", OLD.replace("input.amount > 1000", "input.total > 1000")],
  ])("does not pretend to know: %s", async (_, rules) => {
    expect((await diff(rules)).at(-1)).toMatch(/it cannot be told from what is written/)
  })

  it("says that nothing changed, for a directory and what was packed of it", async () => {
    await release("1.4.0", OLD)
    await bench().serin("release", "pack", "1.4.0")
    expect((await bench().serin("release", "diff", "1.4.0", "1.4.0.tgz")).out).toBe("1.4.0 → 1.4.0\n  the same files\n")
  })

  it("answers a document with --json", async () => {
    await release("1.4.0", OLD)
    await release("1.5.0", OLD.replace("1000", "500"))
    const { doc } = await bench().json("release", "diff", "1.4.0", "1.5.0")
    expect(doc).toMatchObject({ old: "1.4.0", new: "1.5.0", same: false, direction: "tightens", files: [] })
    expect(doc["rules"]).toEqual([
      { rule: "large", what: "when input.amount > 1000 → input.amount > 500", direction: "tightens" },
    ])
  })

  it("compares files of an engine that it does not know by their keys", async () => {
    await release("1.4.0", "a: 1\nb: { c: [1, 2], d: x }\n", "mine")
    await release("1.5.0", "a: 1\nb: { c: [1, 3], e: y }\n__proto__: { z: 1 }\n", "mine")
    const { out } = await bench().serin("release", "diff", "1.4.0", "1.5.0")
    expect(
      out
        .split("\n")
        .slice(1, -1)
        .map((line) => line.trim()),
    ).toEqual([
      "rules.yaml changed",
      "__proto__.z added: 1",
      "b.c: [1,2] → [1,3]",
      'b.d removed, was "x"',
      'b.e added: "y"',
      "all in all it cannot be told from what is written; shadow shows it call by call",
    ])
  })

  it("tells the keys of a config that changed, beside the rules, and refuses one that its schema does not allow", async () => {
    const manifest = (version: string) =>
      `version: "${version}"\npolicy: { engine: rules }\nconfig: { file: config.yaml, schema: schema.json }\n`
    const configured = async (version: string, config: string) => {
      await release(version, OLD)
      await bench().write(`${version}/release.yaml`, manifest(version))
      await bench().write(`${version}/config.yaml`, config)
      await bench().write(`${version}/schema.json`, '{"type":"object","properties":{"limit":{"type":"number"}}}')
    }
    await configured("1.4.0", "limit: 1\nmodel: { name: a }\n")
    await configured("1.5.0", "limit: 2\nmodel: { name: a, size: 7 }\n")
    const { out } = await bench().serin("release", "diff", "1.4.0", "1.5.0")
    const lines = out.trimEnd().split("\n").slice(1)
    expect(lines.map((line) => line.trim())).toEqual([
      "config.yaml changed",
      "limit: 1 → 2",
      "model.size added: 7",
      "all in all the rules give every call the same answer (`intent: refactor`)",
    ])
    await bench().serin("release", "pack", "1.5.0")
    expect((await bench().serin("release", "verify", "1.5.0.tgz")).out).toContain("4 files")
    await bench().write("1.5.0/config.yaml", "limit: much\n")
    const refused = await bench().serin("release", "pack", "1.5.0", "--out", "other.tgz")
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining("config.yaml")])
  })

  it("tells patterns and thresholds that changed by their names", async () => {
    const pattern = { id: "card", category: "pii", pattern: "[0-9]{16}" }
    const versions = {
      "1.4.0": [[pattern], [{ alert: "large", field: "amount", above: 500 }]],
      "1.5.0": [
        [
          { ...pattern, result: "blocked" },
          { ...pattern, id: "iban" },
        ],
        [{ alert: "large", field: "amount", above: 300 }],
      ],
    }
    for (const [version, [patterns, thresholds]] of Object.entries(versions)) {
      await release(version, OLD)
      const parts = "scanners: [{ name: pii, patterns: pii.yaml }]\nmonitor: { thresholds: limits.yaml }\n"
      await bench().write(`${version}/release.yaml`, `version: "${version}"\npolicy: { engine: rules }\n${parts}`)
      await bench().write(`${version}/pii.yaml`, JSON.stringify({ patterns }))
      await bench().write(`${version}/limits.yaml`, JSON.stringify({ thresholds }))
    }
    const { out } = await bench().serin("release", "diff", "1.4.0", "1.5.0")
    const lines = out.split("\n").map((line) => line.trim())
    expect(lines).toContain("thresholds[large].above: 500 → 300")
    expect(lines).toContain('patterns[card].result added: "blocked"')
    expect(lines).toContain('patterns[iban].pattern added: "[0-9]{16}"')
  })

  it("refuses a release with rules that nobody could run", async () => {
    await release("1.4.0", OLD)
    await release("1.5.0", "rules: [&a { id: a, action: x, effect: allow }, *a]")
    expect((await bench().serin("release", "diff", "1.4.0", "1.5.0")).err).toMatch(/RELEASE_INVALID[^]*is an alias/)
  })
})

describe("conditionChange", () => {
  it.each([
    ["x > 1", "x > 1.5", "fewer"],
    ["x >= 1", "x >= 0", "more"],
    ["x < -1", "x < -2", "fewer"],
    ["5 < x", "6 < x", "fewer"],
    ["!(x > 1)", "!(x > 2)", "more"],
    ["a && x > 1", "a && x > 2", "fewer"],
    ["a || x > 1", "a || x > 2", "fewer"],
    ["a && b", "a", "more"],
    ["a || b", "a", "fewer"],
    ["a && b && c", "c && b && a", "same"],
    ["x in [1, 2]", "x in [1, 2, 3]", "more"],
    ["x in ['b', 'a']", "x in ['a', 'b']", "same"],
    ["x > 1", "y > 1", "unknown"],
    ["x > 1", "x >= 1", "unknown"],
    ["a ? x > 1 : b", "a ? x > 2 : b", "unknown"],
    ["(x > 1) == b", "(x > 2) == b", "unknown"],
    ["x > 9007199254740993", "x > 9007199254740992", "unknown"],
    ["a && b", "c && d", "unknown"],
  ] as const)("from %s to %s: %s", (before, after, change) => {
    expect(conditionChange(before, after)).toBe(change)
  })
})

// What is claimed of a change is tried on calls: all that rules over two actions and one number can be asked.
const CALLS: readonly Call[] = ["a", "ab", "b"].flatMap((action) =>
  [0, 1, 2, 3].flatMap((x) => [true, false].map((y) => ({ action, input: { x, y } }))),
)
const STRICT: Readonly<Record<Effect, number>> = { allow: 0, escalate: 1, deny: 2 }
const limit = fc.integer({ min: 0, max: 3 })
const condition: fc.Arbitrary<string | null> = fc.oneof(
  fc.constant(null),
  limit.map((n) => `input.x > ${n}`),
  limit.map((n) => `input.x <= ${n}`),
  limit.map((n) => `input.y && input.x >= ${n}`),
  limit.map((n) => `input.y || ${n} < input.x`),
  limit.map((n) => `!(input.y && input.x > ${n})`),
  fc.subarray(["0.0", "1.0", "2.0", "3.0"]).map((list) => `input.x in [${list.join(", ")}]`),
)
const ruleNamed = (id: string): fc.Arbitrary<WrittenRule> =>
  fc.record({
    id: fc.constant(id),
    patterns: fc.subarray(["a", "b", "a*", "*"], { minLength: 1 }),
    when: condition,
    effect: fc.constantFrom<Effect>("allow", "deny", "escalate"),
    reason: fc.constant(null),
  })
const ruleList = fc
  .shuffledSubarray(["p", "q", "r", "s", "t"], { minLength: 1 })
  .chain((ids) => fc.tuple(...ids.map(ruleNamed)))

/** Rules as their engine runs them; null where it refuses them, for a rule that can never match. */
function outcomes(rules: readonly WrittenRule[]): number[] | null {
  const text = JSON.stringify({
    rules: rules.map(({ id, patterns, when, effect }) => ({
      id,
      action: patterns,
      ...(when !== null && { when }),
      effect,
    })),
  })
  try {
    const policy = rulesEngine().compile([{ path: "rules.yaml", text }])
    return CALLS.map((call) => {
      const answer = policy.evaluate(call, { sessionId: "a", startedAt: 0 })
      return STRICT[typeof answer === "string" ? answer : answer.outcome]
    })
  } catch {
    return null
  }
}

describe("ruleChanges", () => {
  it("never tells a direction that a call contradicts", () => {
    const told = { loosens: 0, tightens: 0, none: 0, unclear: 0 }
    const edited = ruleList.chain((before) =>
      fc.tuple(
        fc.constant(before),
        fc.oneof(
          ruleList,
          fc.shuffledSubarray(before, { minLength: 1 }),
          // One rule made another: what people do.
          fc.nat(before.length - 1).chain((i) => ruleNamed(before[i]?.id ?? "").map((rule) => before.with(i, rule))),
        ),
      ),
    )
    fc.assert(
      fc.property(edited, ([before, after]) => {
        const [was, is] = [outcomes(before), outcomes(after)]
        if (was === null || is === null) return
        const direction = together(ruleChanges(before, after).map((change) => change.direction))
        told[direction]++
        const stricter = is.some((one, i) => one > (was[i] ?? 0))
        const laxer = is.some((one, i) => one < (was[i] ?? 0))
        if (direction === "loosens") expect(stricter).toBe(false)
        if (direction === "tightens") expect(laxer).toBe(false)
        if (direction === "none") expect(stricter || laxer).toBe(false)
      }),
      { numRuns: runs(2000) },
    )
    // It says something often enough to be of use.
    expect(Math.min(told.loosens, told.tightens, told.none)).toBeGreaterThan(runs(2000) / 200)
  })
})
