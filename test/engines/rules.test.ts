import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { globMatches } from "../../src/engines/glob.js"
import { rulesEngine } from "../../src/engines/rules.js"
import { isSerinError } from "../../src/errors.js"
import type { Evaluation } from "../../src/release/ports.js"
import { RuleError } from "../../src/release/rule-error.js"
import { readEvaluation } from "../../src/release/run.js"
import { runs } from "../runs.js"

const context = { sessionId: "s1", startedAt: 0 }
const compile = (...texts: string[]) =>
  rulesEngine().compile(texts.map((text, i) => ({ path: i === 0 ? "rules.yaml" : `more-${i}.yaml`, text })))

/** Decide one call under one conditional rule that allows. */
function when(condition: string, call: { input?: unknown; resource?: unknown; principal?: unknown }): Evaluation {
  const rules = [{ id: "r", action: "*", when: condition, effect: "allow" }]
  return compile(JSON.stringify({ rules })).evaluate({ action: "pay", ...call }, context)
}

const outcome = (evaluation: Evaluation) => readEvaluation(evaluation)?.outcome

/** The problems as `where: message (fix)`; fails when there are none. */
function problemsOf(...texts: string[]): string[] {
  try {
    compile(...texts)
  } catch (error) {
    if (!isSerinError(error) || error.code !== "RULES_INVALID") throw error
    return error.problems.map(
      ({ where, message, fix }) => `${where}: ${message}${fix === undefined ? "" : ` (${fix})`}`,
    )
  }
  throw new Error("the rules were accepted")
}

const BOOKING = `
rules:
  - id: cancel-own-booking
    action: "cancel_*"
    when: 'input.reservation_id.matches("^[A-Z0-9]{6}$")'
    effect: allow
    reason: a reservation id
  - id: no-cancel
    action: "cancel_*"
    effect: escalate
  - id: read
    action: ["get_*", search_direct_flight]
    effect: allow
`

describe("rulesEngine: decisions", () => {
  it("lets the first rule decide whose action and condition match", () => {
    const policy = compile(BOOKING)
    const decide = (action: string, input: unknown) => policy.evaluate({ action, input }, context)
    expect(decide("cancel_reservation", { reservation_id: "AB12CD" })).toEqual({
      outcome: "allow",
      rule: "cancel-own-booking",
      reason: "a reservation id",
    })
    expect(decide("cancel_reservation", { reservation_id: "nope" })).toEqual({ outcome: "escalate", rule: "no-cancel" })
    expect(decide("search_direct_flight", {})).toEqual({ outcome: "allow", rule: "read" })
    expect(decide("get_user_details", {})).toEqual({ outcome: "allow", rule: "read" })
  })

  it("denies what no rule matches, and names no rule", () => {
    const policy = compile(BOOKING)
    for (const action of ["book_reservation", "", "constructor", "__proto__", "GET_user", " get_x"]) {
      expect(policy.evaluate({ action }, context)).toEqual({ outcome: "deny", reason: "no rule matched" })
    }
  })

  it("reads JSON as well, tabs and all", () => {
    const text = JSON.stringify({ rules: [{ id: "a", action: "x", effect: "allow" }] }, null, "\t")
    expect(outcome(compile(text).evaluate({ action: "x" }, context))).toBe("allow")
  })

  it("keeps the order of rules over several files", () => {
    const one = `rules: [{ id: a, action: "x", when: input.first, effect: deny }]`
    const two = `rules: [{ id: b, action: "*", effect: allow }]`
    const policy = compile(one, two)
    expect(policy.evaluate({ action: "x", input: { first: true } }, context)).toMatchObject({ rule: "a" })
    expect(policy.evaluate({ action: "x", input: { first: false } }, context)).toMatchObject({ rule: "b" })
  })

  it("serves the same frozen evaluation each time", () => {
    const policy = compile(BOOKING)
    const call = { action: "get_x" }
    expect(policy.evaluate(call, context)).toBe(policy.evaluate(call, context))
    expect(Object.isFrozen(policy.evaluate(call, context))).toBe(true)
    expect(Object.isFrozen(policy.evaluate({ action: "?" }, context))).toBe(true)
  })

  it("is sync and not stateful", () => {
    const policy = compile(BOOKING)
    expect(policy.evaluate({ action: "get_x" }, context)).not.toBeInstanceOf(Promise)
    expect(policy.stateful ?? false).toBe(false)
  })

  it("refuses a call whose action is no text, or too long to be a name", () => {
    expect(() => compile(BOOKING).evaluate({ action: 1 } as never, context)).toThrow(/call.action must be a string/)
    expect(() => compile(BOOKING).evaluate({ action: "x".repeat(1025) }, context)).toThrow(/longer than 1024/)
  })

  it("decides as a plain walk over the rules does, however many names it has seen", () => {
    const glob = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), minLength: 1, maxLength: 3 })
    const rule = fc.record({
      action: fc.array(glob, { minLength: 1, maxLength: 3 }),
      effect: fc.constantFrom("allow", "deny", "escalate"),
      conditional: fc.boolean(),
    })
    const actions = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 3 }), { minLength: 1 })
    let compiled = 0
    fc.assert(
      fc.property(fc.array(rule, { minLength: 1, maxLength: 6 }), actions, (drafts, actions) => {
        const rules = drafts.map(({ conditional, ...draft }, i) => ({
          id: `r${i}`,
          ...draft,
          ...(conditional && { when: "input.yes" }),
        }))
        let policy
        try {
          policy = compile(JSON.stringify({ rules }))
        } catch (error) {
          if (isSerinError(error) && error.problems.every((p) => p.message.includes("can never match"))) return
          throw error
        }
        compiled++
        for (const action of actions) {
          for (const yes of [true, false]) {
            const expected = rules.find(
              (one) => one.action.some((pattern) => globMatches(pattern, action)) && (yes || !("when" in one)),
            )
            const decided = readEvaluation(policy.evaluate({ action, input: { yes } }, context))
            expect(decided?.rule).toBe(expected?.id)
            expect(decided?.outcome).toBe(expected?.effect ?? "deny")
          }
        }
      }),
      { numRuns: runs(500) },
    )
    expect(compiled).toBeGreaterThan(runs(500) / 5)
  })

  it("keeps deciding rightly after more names than it remembers", () => {
    const rules = Array.from({ length: 50 }, (_, i) => ({
      id: `r${i}`,
      action: `*_${i}`,
      when: "true",
      effect: "allow",
    }))
    const policy = compile(JSON.stringify({ rules }))
    const long = "x".repeat(100)
    const ruleOf = (i: number): unknown => {
      const found = policy.evaluate({ action: `${long}${i}_${i % 50}` }, context)
      return typeof found === "object" ? found.rule : found
    }
    const names = Array.from({ length: 3000 }, (_, i) => i)
    expect(names.filter((i) => ruleOf(i) !== `r${i % 50}`)).toEqual([])
  })
})

describe("rulesEngine: conditions", () => {
  const input = {
    amount: 250,
    share: 2.5,
    index: 1,
    count: 3,
    items: [1, 2, 3],
    tags: ["a", "b"],
    name: "abc",
    nothing: null,
    yes: true,
  }

  it.each([
    "input.amount > 100",
    "input.amount == 250",
    "250 == input.amount",
    "input.amount != 251",
    "input.amount == 250.0",
    "input.amount >= 250u",
    "input.share > 2 && input.share < 3",
    "size(input.items) <= 5",
    "size(input.items) == input.count",
    "input.items.size() == 3",
    "input.amount in [100, 250]",
    "2 in input.items",
    "input.items[0] == 1",
    "input.items[input.index] == 2",
    "input.items == [1, 2, 3]",
    "input.items.all(i, i > 0)",
    "input.amount + 1 == 251",
    "input.amount - 1 < 250",
    "input.amount * 2 == 500",
    "2 * input.amount == 500",
    "input.amount / 100 == 2.5",
    "input.amount % 2 == 0",
    "input.amount % input.count == 1",
    "-input.amount < 0",
    "size(input.items) + input.amount > 252",
    "input.items.map(i, i * 2)[2] == 6",
    "1 + 2.5 == 3.5",
    "[1, 2.5].size() == 2",
    '"a" in input.tags',
    'input.name in ["abc", "d"]',
    'input["name"].startsWith("a")',
    'input.name.matches("^[a-c]{3}$")',
    "has(input.amount) && !has(input.missing)",
    "input.nothing == null",
    "input.amount != null",
    "input.yes",
    "resource == null && !has(resource.id)",
    'principal.id == "u1"',
    'action == "pay" && call.action == "pay"',
    "call.input.amount == input.amount",
    "cel.bind(x, input.amount * 2, x == 500)",
  ])("with JavaScript numbers and values as users write them: %s", (condition) => {
    expect(outcome(when(condition, { input, principal: { id: "u1" } }))).toBe("allow")
  })

  it.each([
    "input.amount > 250",
    'input.amount == "250"',
    "input.amount == null",
    "resource != null",
    "input.yes == false",
  ])("does not hold: %s", (condition) => {
    expect(outcome(when(condition, { input }))).toBe("deny")
  })

  it.each([
    ["a missing field", "input.missing > 1", /No such key: missing/],
    ["a missing input", "call.nothing.x == 1", /No such key: nothing/],
    ["a field of null", 'resource.id == "x"', /No such key: id/],
    ["an order between kinds", "input.name > 100", /no such overload/],
    ["a method of another kind", 'input.amount.matches("2")', /no matching overload/],
    ["an index out of range", "input.items[9] == 1", /index out of bounds/],
    ["a number as its answer", "input.amount", /answered a number/],
    ["null as its answer", "input.nothing", /answered null/],
    ["a list as its answer", "input.items", /answered a list/],
    ["a text as its answer", "input.name", /answered a string/],
    ["a regular expression from the call that does not compile", "input.name.matches(call.bad)", /Invalid regular/],
  ])("makes an error with the rule's id of %s", (_, condition, message) => {
    const run = () => when(condition, { input, bad: "[" } as never)
    expect(run).toThrow(RuleError)
    expect(run).toThrow(message)
    try {
      run()
    } catch (error) {
      expect(error).toMatchObject({ rule: "r" })
    }
  })

  it("does not pass over a rule whose condition fails", () => {
    const policy = compile(`
rules:
  - { id: fails, action: "*", when: input.missing == 1, effect: deny }
  - { id: all, action: "*", effect: allow }`)
    expect(() => policy.evaluate({ action: "x", input: {} }, context)).toThrow(/rule `fails`/)
  })

  it("makes an error of a value of a foreign class, and of a getter that throws", () => {
    const foreign = new (class Money {
      readonly cents = 1
    })()
    const throwing = Object.defineProperty({}, "x", {
      enumerable: true,
      get: () => {
        throw new Error("no")
      },
    })
    expect(() => when("input.cents == 1", { input: foreign })).toThrow(RuleError)
    expect(() => when("input.x == 1", { input: throwing })).toThrow(RuleError)
  })

  it("makes an error of a promise in the call: a condition answers now", () => {
    for (const condition of ["input.x", "input.x && input.y", "input.x ? true : false", "input.list[0]"]) {
      const x = Promise.resolve(true)
      expect(() => when(condition, { input: { x, y: true, list: [x] } })).toThrow(/Unsupported type: Promise/)
    }
  })

  it("reads no inherited field, so a polluted prototype decides nothing", () => {
    expect(() => when("input.toString == null", { input: {} })).toThrow(/No such key/)
    expect(outcome(when("has(input.constructor) || has(input.__proto__)", { input: {} }))).toBe("deny")
  })

  it("never answers anything but an evaluation or an error with the rule, whatever the input", () => {
    const policy = compile(`
rules:
  - { id: a, action: "*", when: input.x > 1 || size(input.y) == 2, effect: allow }
  - { id: b, action: "*", when: 'input.z.matches("^a")', effect: escalate }`)
    const value = fc.anything({
      withMap: true,
      withSet: true,
      withDate: true,
      withBigInt: true,
      withNullPrototype: true,
    })
    fc.assert(
      fc.property(fc.oneof(value, fc.record({ x: value, y: value, z: value })), (input) => {
        try {
          expect(readEvaluation(policy.evaluate({ action: "x", input }, context))).not.toBeNull()
        } catch (error) {
          expect(error).toBeInstanceOf(RuleError)
        }
      }),
      { numRuns: runs(1000) },
    )
  })
})

describe("rulesEngine: files with problems", () => {
  it("lists every problem with its place, its rule and the fix, in the order of the file", () => {
    expect(
      problemsOf(`rules:
  - id: a
    acton: x
    effect: alow
    when: 'true && inptu.x > 1'
    reason: 12
  - id: a
    action: [x, 1]
    when: input.x >
  - action: ""
    effect: [deny]
`),
    ).toEqual([
      'rules.yaml:2:5: rule `a` has no `action` (write a glob, or `"*"` for every action)',
      "rules.yaml:3:5: the rule has the unknown key `acton` (did you mean `action`?)",
      "rules.yaml:4:13: rule `a`: `effect` is the unknown `alow` (did you mean `allow`?)",
      "rules.yaml:5:20: rule `a`: `when`: Unknown variable: inptu, at character 9 of the condition (did you mean `input`?)",
      'rules.yaml:6:13: rule `a`: `reason` must be a text, not the number 12 (put it in quotes: "12")',
      "rules.yaml:7:5: rule `a` has no `effect` (write allow, deny or escalate)",
      "rules.yaml:7:5: rule `a`: the `id` is taken by rules.yaml:2:5 (rename one)",
      'rules.yaml:8:17: rule `a`: `action` must be a text, not the number 1 (put it in quotes: "1")',
      "rules.yaml:9:20: rule `a`: `when`: Unexpected token: EOF, at character 10 of the condition",
      "rules.yaml:10:5: the rule has no `id` (name it: decisions and errors carry the id)",
      "rules.yaml:10:13: the rule: `action` is empty",
      "rules.yaml:11:13: the rule: `effect` must be a text, not a list",
    ])
  })

  it("finds a regular expression that does not compile, in a macro too", () => {
    const problems = problemsOf(`rules:
  - { id: a, action: x, effect: allow, when: 'input.all(i, i.matches("[")) && input.x.matches("(a")' }`)
    expect(problems).toHaveLength(2)
    expect(problems[0]).toMatch(/^rules.yaml:2:\d+: rule `a`: `when`: Invalid regular expression: \/\[\//)
    expect(problems[1]).toMatch(/Unterminated group/)
  })

  it("refuses a condition of a wrong type, and one that is too large", () => {
    const rule = (condition: string) =>
      JSON.stringify({ rules: [{ id: "a", action: "x", effect: "deny", when: condition }] })
    expect(problemsOf(rule("1 + 1"))[0]).toMatch(/is of type int \(a condition answers true or false\)/)
    expect(problemsOf(rule("action == 1"))[0]).toMatch(/no such overload: string == int/)
    expect(problemsOf(rule("input.x.nofn()"))[0]).toMatch(/found no matching overload for 'dyn.nofn\(\)'/)
    expect(problemsOf(rule("(".repeat(5000)))[0]).toMatch(/Exceeded maxDepth/)
    expect(problemsOf(rule("!".repeat(8000) + "true"))[0]).toMatch(/maxAstNodes|call stack/)
    expect(problemsOf(rule("true" + " || true".repeat(1100)))[0]).toMatch(/longer than 8192/)
    expect(problemsOf(rule("true" + "||true".repeat(1100)))[0]).toMatch(/Exceeded maxAstNodes/)
  })

  it("counts an id that is used in two files as taken", () => {
    const rule = (action: string) => `rules: [{ id: a, action: ${action}, effect: deny }]`
    expect(problemsOf(rule("x"), rule("y"))).toEqual([
      "more-1.yaml:1:9: rule `a`: the `id` is taken by rules.yaml:1:9 (rename one)",
    ])
  })

  it("refuses a rule that can never match", () => {
    const problems = problemsOf(`rules:
  - { id: some, action: "*", when: input.x, effect: allow }
  - { id: cancel, action: ["cancel_*", refund], effect: deny }
  - { id: still-matches, action: [refund, other], effect: deny }
  - { id: covered, action: [refund, cancel_now, "cancel_?"], effect: allow }
  - { id: all, action: "*", effect: deny }
  - { id: late, action: "x", when: input.y, effect: allow }`)
    expect(problems).toEqual([
      "rules.yaml:5:5: rule `covered` can never match: rules.yaml:3:5 `cancel` takes its actions before it (move it up, narrow the earlier rule, or delete it)",
      "rules.yaml:7:5: rule `late` can never match: rules.yaml:6:5 `all` takes its actions before it (move it up, narrow the earlier rule, or delete it)",
    ])
  })

  it.each([
    ["nothing", "", /the file is empty/],
    ["only a comment", "# rules\n", /the file is empty/],
    ["no rules", "{}", /has no `rules`/],
    ["an empty list", "rules: []", /there is no rule in `rules` \(to deny everything say so/],
    ["no list", "rules:\n", /`rules` must be a list, not empty/],
    ["a list at the top", "- id: a", /the file must be a mapping, not a list/],
    ["an unknown key at the top", "rule:\n- {id: a}", /unknown key `rule` \(did you mean `rules`\?\)/],
    ["a text for a rule", "rules: [deny]", /the rule must be a mapping, not the string deny/],
    ["an empty list of actions", "rules: [{id: a, action: [], effect: deny}]", /`action` is an empty list/],
    ["an empty condition", "rules: [{id: a, action: x, effect: deny, when: }]", /`when` must be a text, not empty/],
    [
      "a condition that is no text",
      "rules: [{id: a, action: x, effect: deny, when: true}]",
      /put it in quotes: "true"/,
    ],
    ["an id with spaces", "rules: [{id: a b, action: x, effect: deny}]", /`id` has other characters/],
    ["an endless id", `rules: [{id: ${"a".repeat(129)}, action: x, effect: deny}]`, /`id` has other characters/],
    ["a key twice", "rules: [{id: a, id: b, action: x, effect: deny}]", /has the key `id` twice/],
    ["__proto__ as a key", "rules: [{id: a, __proto__: {effect: allow}, action: x}]", /unknown key `__proto__`/],
    ["constructor as a key", "constructor: {}", /unknown key `constructor`/],
    ["a merge key", "rules: [{<<: {id: a}, action: x, effect: deny}]", /unknown key `<<`/],
    ["a glob that YAML takes for an alias", "rules: [{id: a, action: *_x, effect: deny}]", /needs quotes: "\*_x"/],
    ["a bare star", "rules:\n- id: a\n  action: *\n", /rules.yaml:3:11: .*lias/],
    ["a tag", "rules: !!js/function x", /Unresolved tag/],
    ["a second document", "rules: []\n---\nrules: []", /a second document begins here/],
    ["broken YAML", "rules: [", /rules.yaml:1:9: Flow sequence/],
    ["a colon in a bare text", "rules:\n- id: a\n  reason: so: it is", /rules.yaml:3:11: Nested mappings/],
    ["control characters", "\u0000\u0001", /the file must be a mapping/],
  ])("refuses %s", (_, text, message) => {
    expect(problemsOf(text).join("\n")).toMatch(message)
  })

  it("never expands aliases, so they cannot multiply", () => {
    let text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for (let i = 1; i < 12; i++)
      text += `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(", ")}]\n`
    const problems = problemsOf(`${text}rules: *a11\n`)
    expect(problems.join("\n")).toMatch(/`rules` is an alias/)
  })

  it.each([
    ["brackets", "[".repeat(20_000)],
    ["braces", "{a: ".repeat(20_000)],
    ["dashes", "- ".repeat(20_000)],
    ["question marks", "? ".repeat(20_000)],
    ["indentation", Array.from({ length: 500 }, (_, i) => `${" ".repeat(i)}a:`).join("\n")],
  ])("refuses %s that are nested deep enough to end the process", (_, text) => {
    expect(problemsOf(text)).toEqual(["rules.yaml: is nested too deeply to be read"])
  })

  it("refuses more than 1 MiB, counted in bytes", () => {
    const rule = `rules: [{ id: a, action: x, effect: deny }] # `
    const room = 1024 * 1024 - rule.length
    expect(() => compile(rule + "x".repeat(room))).not.toThrow()
    expect(problemsOf(rule + "x".repeat(room + 1))).toEqual(["rules.yaml: is larger than 1 MiB (split the file)"])
    expect(problemsOf(rule + "é".repeat(room / 2 + 1))).toHaveLength(1)
  })

  it("takes 10,000 rules and no more, over all files", () => {
    const file = (from: number, count: number) =>
      JSON.stringify({
        rules: Array.from({ length: count }, (_, i) => ({
          id: `r${from + i}`,
          action: `a${from + i}`,
          effect: "allow",
        })),
      })
    expect(compile(file(0, 6000), file(6000, 4000)).evaluate({ action: "a9999" }, context)).toMatchObject({
      rule: "r9999",
    })
    expect(problemsOf(file(0, 6000), file(6000, 4001))).toEqual([
      expect.stringMatching(/^more-1.yaml:1:\d+: more than 10000 rules or patterns/),
    ])
  })

  it("takes 10,000 patterns and no more, in one rule too", () => {
    const file = (count: number) =>
      JSON.stringify({
        rules: [{ id: "r", action: Array.from({ length: count }, (_, i) => `a${i}*`), effect: "allow" }],
      })
    expect(compile(file(10_000)).evaluate({ action: "a9999x" }, context)).toMatchObject({ rule: "r" })
    expect(problemsOf(file(10_001))).toEqual([expect.stringMatching(/more than 10000 rules or patterns/)])
  })

  it("refuses to compile no file at all", () => {
    expect(problemsOf()).toEqual(["files: there is no rule file (list one)"])
  })

  it("shows twenty problems in the message and keeps all of them", () => {
    const rules = Array.from({ length: 30 }, (_, i) => ({ id: `r${i}`, action: `a${i}`, effect: "no" }))
    try {
      compile(JSON.stringify({ rules }))
      expect.unreachable()
    } catch (error) {
      expect(isSerinError(error) && error.problems.length).toBe(30)
      expect((error as Error).message).toMatch(/^30 problems in the rules:\n(.*\n){20}and 10 more$/)
    }
  })

  it("never fails on any text but with a SerinError that has problems", () => {
    const bit = fc.constantFrom(
      "rules:", "\n", "  - ", "id: ", "a", "action: ", '"*"', "effect: ", "deny", "when: ", "input.x", "{", "}", "[", "]", ",",
      ": ", "'", '"', "|\n", ">", "&a ", "*a", "!!str ", "---", "...", "#", "%", "\t", "? ", "<<: ", "__proto__: ", "\\u", "\r",
    ) // prettier-ignore
    const soup = fc.array(bit, { maxLength: 40 }).map((bits) => bits.join(""))
    const condition = fc.string({ unit: fc.constantFrom("input", ".x", "(", ")", "[", "]", "==", "1", '"a"', "!", "-", "&&", "?", ":", "{", "}", ".matches(", ".all(i,", "has(", " ", "in", "\\", "'") }) // prettier-ignore
    const rule = condition.map((when) => JSON.stringify({ rules: [{ id: "a", action: "*", effect: "allow", when }] }))
    fc.assert(
      fc.property(fc.oneof(soup, rule, fc.string({ unit: "binary" }), fc.json()), (text) => {
        try {
          compile(text)
        } catch (error) {
          if (!isSerinError(error)) throw error
          expect(error.code).toBe("RULES_INVALID")
          expect(error.problems.length).toBeGreaterThan(0)
        }
      }),
      { numRuns: runs(300) },
    )
  })
})
