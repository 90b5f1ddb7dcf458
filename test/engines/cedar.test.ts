import { createRequire } from "node:module"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type * as Cedar from "@cedar-policy/cedar-wasm/nodejs"
import * as fc from "fast-check"
import { afterEach, describe, expect, it, vi } from "vitest"
import { cedarEngine, cedarEntity, cedarExtension, cedarRequest } from "../../src/engines/cedar.js"
import type { CedarOptions } from "../../src/engines/cedar.js"
import { isSerinError } from "../../src/errors.js"
import type { Call } from "../../src/model/call.js"
import { releaseDirectory } from "../../src/release/load.js"
import type { Evaluation, Policy, SourceFile } from "../../src/release/ports.js"
import { runs } from "../runs.js"
import { bothArms } from "./both-arms.js"

const context = { sessionId: "s1", startedAt: 0 }
const file = (text: string, path = "policies.cedar"): SourceFile => ({ path, text })
const compile = (text: string, options?: CedarOptions): Policy => cedarEngine(options).compile([file(text)])
const judge = (policy: Policy, call: Call): Evaluation => policy.evaluate(call, context)

/** What a refused release tells: `where: message (fix)`. */
function problemsOf(...files: SourceFile[]): string[] {
  try {
    cedarEngine().compile(files)
  } catch (error) {
    if (!isSerinError(error)) throw error
    expect(error.code).toBe("RULES_INVALID")
    return error.problems.map(({ where, message, fix = "" }) => `${where}: ${message} (${fix})`)
  }
  throw new Error("it was compiled")
}

const SMALL = `
@id("small-refund") @reason("small enough")
permit(principal, action == Action::"refund", resource) when { context.input.amount <= 100 };
@id("large-refund") @reason("a human looks at it") @serin_outcome("escalate")
permit(principal, action == Action::"refund", resource) when { context.input.amount > 50 };
@id("never-negative")
forbid(principal, action, resource) when { context.input has amount && context.input.amount < 0 };
permit(principal, action in [Action::"read", Action::"list"], resource);
`

describe("cedarEngine", () => {
  it("names the policies that decided, and their reasons", () => {
    const policy = compile(SMALL)
    const refund = (amount: number) => judge(policy, { action: "refund", input: { amount } })
    expect(refund(50)).toEqual({ outcome: "allow", rule: "small-refund", reason: "small enough" })
    expect(refund(-1)).toEqual({ outcome: "deny", rule: "never-negative", reason: undefined })
    expect(judge(policy, { action: "read", input: {} })).toEqual({ outcome: "allow", rule: "policy3" })
    expect(judge(policy, { action: "drop", input: {} })).toEqual({ outcome: "deny", reason: "no policy permits it" })
  })

  it("escalates where a permit that says so permits, whatever else permits, and a forbid still denies", () => {
    const policy = compile(`${SMALL} @id("closed") forbid(principal == Principal::"eve", action, resource);`)
    const refund = (amount: number, principal?: string) =>
      judge(policy, { action: "refund", input: { amount }, principal })
    expect(refund(80)).toEqual({ outcome: "escalate", rule: "large-refund", reason: "a human looks at it" })
    expect(refund(500)).toMatchObject({ outcome: "escalate" })
    expect(refund(500, "eve")).toMatchObject({ outcome: "deny", rule: "closed" })
  })

  it("asks with the call's own principal, resource and input, and with the session where there is none", () => {
    const asked = cedarRequest({ action: "refund" }, context)
    expect(asked).toEqual({
      action: { type: "Action", id: "refund" },
      principal: { type: "Session", id: "s1" },
      resource: { type: "Unspecified", id: "resource" },
      context: {},
    })
    const order = { type: "Order", id: "7" }
    expect(cedarRequest({ action: "refund", principal: "ana", resource: order, input: [1] }, context)).toMatchObject({
      principal: { type: "Principal", id: "ana" },
      resource: order,
      context: { input: [1] },
    })
    expect(() => cedarRequest({ action: "refund", principal: { name: "ana" } }, context)).toThrow(
      /call\.principal must/,
    )
  })

  it("asks as the host says, with entities, extensions and entities of the call", () => {
    const policy = compile(
      `permit(principal in Team::"support", action, resource)
       when { resource.owner == principal && context.rate.lessThan(decimal("0.5")) && resource.owner == context.owner };`,
      {
        request: (call, { sessionId }) => ({
          ...cedarRequest(call, { sessionId, startedAt: 0 }),
          principal: { type: "User", id: "ana" },
          resource: { type: "Order", id: "7" },
          context: { rate: cedarExtension("decimal", "0.25"), owner: cedarEntity("User", "ana") },
          entities: [
            { uid: { type: "User", id: "ana" }, parents: [{ type: "Team", id: "support" }] },
            { uid: { type: "Order", id: "7" }, attrs: { owner: cedarEntity("User", "ana") } },
          ],
        }),
      },
    )
    expect(judge(policy, { action: "refund" })).toMatchObject({ outcome: "allow", rule: "policy0" })
  })

  it("fails, and decides nothing, where a policy fails: a forbid that Cedar would leave out", () => {
    const policy = compile(`permit(principal, action, resource);
      @id("limit") forbid(principal, action, resource) when { context.input.amount > 100 };`)
    const missing = { action: "refund", input: {} }
    expect(() => judge(policy, missing)).toThrow(expect.objectContaining({ rule: "limit", name: "RuleError" }))
    const { canary, events } = bothArms(compile(SMALL), policy)
    const decision = canary.evaluate({ action: "read", input: {} })
    expect(decision).toMatchObject({ outcome: "allow", source: "fallback", errorType: "throw", arm: "stable" })
    expect(events).toContainEqual(expect.objectContaining({ type: "error", arm: "canary" }))
  })

  it.each([
    ["a fraction", { amount: 0.5 }, /input\.amount is 0\.5, and Cedar has whole numbers alone/],
    ["a number beyond 2^53", { amount: 2 ** 53 }, /whole numbers alone/],
    ["NaN", { amount: NaN }, /whole numbers alone/],
    ["a bigint beyond 2^53", { amount: 2n ** 60n }, /whole numbers alone/],
    ["null", { note: null }, /input\.note is null, which Cedar cannot say/],
    ["null in a list", { list: [1, [null]] }, /input\.list\[1\]\[0\] is null/],
    ["a hole in a list", { list: [undefined] }, /input\.list\[0\] is undefined/],
    ["a date", { at: new Date(0) }, /input\.at is an instance of Date/],
    ["a map", { at: new Map([["a", 1]]) }, /an instance of Map/],
    ["a function", { at: () => 1 }, /input\.at is function/],
    ["half a character", { text: "\ud800" }, /no well-formed text/],
    ["an entity that a model wrote", { owner: { __entity: { type: "User", id: "root" } } }, /must not begin with __/],
    ["an extension that a model wrote", { n: { __extn: { fn: "decimal", arg: "1.0" } } }, /must not begin with __/],
    ["a prototype", JSON.parse('{"__proto__": {"amount": 1}}') as object, /must not begin with __/],
    ["something without end", endless(), /nested deeper than 64/],
  ])("fails on %s in the input, which Cedar cannot say or would not keep", (_, input, message) => {
    const policy = compile("permit(principal, action, resource);")
    expect(() => judge(policy, { action: "refund", input })).toThrow(message)
    expect(judge(policy, { action: "refund", input: { a: undefined, b: 7n, c: -0, d: [], e: "é" } })).toMatchObject({
      outcome: "allow",
    })
  })

  it("fails on names that are no entities, and on a mapping that throws", () => {
    const fail = (request: CedarOptions["request"]) => () =>
      judge(compile("permit(principal, action, resource);", { request }), { action: "refund" })
    const base = cedarRequest({ action: "refund" }, context)
    expect(fail(() => ({ ...base, principal: { type: "not a type", id: "x" } }))).toThrow(/failed to parse/)
    expect(fail(() => ({ ...base, resource: { type: "T", id: 7 as unknown as string } }))).toThrow(/resource must have/)
    expect(fail(() => ({ ...base, context: 7 as never }))).toThrow()
    expect(fail(() => { throw new Error("no such user") })).toThrow("no such user") // prettier-ignore
    expect(() => judge(compile(SMALL), { action: undefined as unknown as string })).toThrow(/action must have/)
  })

  it("has nothing in one arm that is in the other, whatever the names in them are", () => {
    const max = (amount: number) =>
      compile(`@id("max") permit(principal, action, resource) when { context.input.amount <= ${amount} };`)
    const { stable, canary } = bothArms(max(100), max(50))
    for (const amount of [40, 80, 120, 80, 40]) {
      const call = { action: "refund", input: { amount } }
      expect(stable.evaluate(call)).toMatchObject({ outcome: amount <= 100 ? "allow" : "deny", arm: "stable" })
      expect(canary.evaluate(call)).toMatchObject({ outcome: amount <= 50 ? "allow" : "deny", arm: "canary" })
    }
  })

  it("gives what it holds back: a closed policy fails, and its name serves the next one only", () => {
    const allow = compile("permit(principal, action, resource);")
    allow.close?.()
    allow.close?.()
    const deny = compile("forbid(principal, action, resource);")
    const third = compile("permit(principal, action, resource);")
    expect(() => judge(allow, { action: "read" })).toThrow("closed")
    expect(judge(deny, { action: "read" })).toMatchObject({ outcome: "deny", rule: "policy0" })
    expect(judge(third, { action: "read" })).toMatchObject({ outcome: "allow" })
  })

  it("refuses what does not parse, with line, column and what was expected", () => {
    expect(problemsOf(file("// é\npermit(principal,action resource);"))).toEqual([
      expect.stringMatching(/^policies\.cedar:2:25: unexpected token `resource` \(expected .*\)$/),
    ])
    const twice = `@id("a") permit(principal, action, resource); @id("a") forbid(principal, action, resource);`
    expect(problemsOf(file(twice))).toEqual(["policies.cedar: policy `a`: the `@id` is there twice (rename one)"])
    expect(problemsOf(file("permit(principal == ?principal, action, resource);"))[0]).toMatch(/has a template/)
    expect(problemsOf(file(`@serin_outcome("escalate") forbid(principal, action, resource);`))[0]).toMatch(
      /on a forbid/,
    )
    expect(problemsOf(file(`@serin_outcome("ask") permit(principal, action, resource);`))[0]).toMatch(/is "ask"/)
    expect(problemsOf(file(`@serin_outcom("x") permit(principal, action, resource);`))[0]).toMatch(/did you mean/)
    expect(problemsOf(file(`@id permit(principal, action, resource);`))[0]).toMatch(/`@id` has no text/)
    expect(problemsOf(file(""))[0]).toMatch(/there is no policy/)
    expect(problemsOf(file("a: 1", "rules.yaml"))[0]).toMatch(/no file of Cedar by its name/)
    expect(problemsOf(file("permit(principal, action, resource);"), file("{", "entities.json"))[0]).toMatch(/no JSON/)
    expect(problemsOf(file("permit(principal, action, resource);"), file("{}", "entities.json"))[0]).toMatch(
      /must be a list of entities/,
    )
  })

  it("holds policies, entities and calls to a schema that a release has", () => {
    const schema = file(
      `entity Session; entity Unspecified; entity Order;
       action refund appliesTo { principal: [Session], resource: [Unspecified], context: { input: { amount: Long } } };`,
      "shop.cedarschema",
    )
    const permit = file(`permit(principal, action == Action::"refund", resource) when { context.input.amount < 9 };`)
    const policy = cedarEngine().compile([permit, schema])
    expect(judge(policy, { action: "refund", input: { amount: 5 } })).toMatchObject({ outcome: "allow" })
    expect(() => judge(policy, { action: "refund", input: { amount: "5" } })).toThrow(/not valid for/)
    expect(() => judge(policy, { action: "unknown", input: { amount: 5 } })).toThrow(
      /does not exist in the supplied schema/,
    )
    const slip = file(`permit(principal, action == Action::"refund", resource) when { context.input.amont < 9 };`)
    expect(problemsOf(slip, schema)).toEqual([expect.stringMatching(/^policy policy0: .*did you mean `amount`/)])
    const stray = file(`[{"uid": {"type": "Nope", "id": "a"}, "attrs": {}, "parents": []}]`, "entities.json")
    expect(problemsOf(permit, schema, stray)[0]).toMatch(/^entities\.json: .*not declared in the schema/)
    expect(problemsOf(permit, schema, { ...schema, path: "b.cedarschema" })[0]).toMatch(/second schema/)
  })

  it("knows the entities of a release", () => {
    const members = file(
      `[{"uid": {"type": "Principal", "id": "ana"}, "attrs": {}, "parents": [{"type": "Team", "id": "support"}]}]`,
      "entities.json",
    )
    const policy = cedarEngine().compile([file(`permit(principal in Team::"support", action, resource);`), members])
    expect(judge(policy, { action: "read", principal: "ana" })).toMatchObject({ outcome: "allow" })
    expect(judge(policy, { action: "read", principal: "eve" })).toMatchObject({ outcome: "deny" })
  })

  it("numbers policies without an id in the order of the files, also beyond ten", () => {
    const some = (from: number, n: number): string =>
      Array.from({ length: n }, (_, i) => `permit(principal, action == Action::"a${from + i}", resource);`).join("\n")
    const policy = cedarEngine().compile([file(some(0, 13)), file(some(13, 3), "more.cedar")])
    for (let i = 0; i < 16; i++) expect(judge(policy, { action: `a${i}` })).toMatchObject({ rule: `policy${i}` })
  })

  it("decides as a plain reading of permits and forbids does", () => {
    const actions = ["read", "refund", "cancel"] as const
    const rule = fc.record({
      effect: fc.constantFrom("permit", "forbid"),
      action: fc.option(fc.constantFrom(...actions)),
      limit: fc.integer({ min: -5, max: 5 }),
      above: fc.boolean(),
    })
    const call = fc.record({ action: fc.constantFrom(...actions), amount: fc.integer({ min: -6, max: 6 }) })
    const engine = cedarEngine()
    fc.assert(
      fc.property(
        fc.array(rule, { minLength: 1, maxLength: 8 }),
        fc.array(call, { minLength: 1, maxLength: 8 }),
        (rules, calls) => {
          const text = rules.map(({ effect, action, limit, above }) => {
            const scope = action === null ? "action" : `action == Action::"${action}"`
            return `${effect}(principal, ${scope}, resource) when { context.input.amount ${above ? ">" : "<="} ${limit} };`
          })
          const policy = engine.compile([file(text.join("\n"))])
          for (const { action, amount } of calls) {
            const holding = rules.flatMap((one, i) => {
              const holds = (one.action ?? action) === action && (one.above ? amount > one.limit : amount <= one.limit)
              return holds ? [{ effect: one.effect, id: `policy${i}` }] : []
            })
            const forbids = holding.filter(({ effect }) => effect === "forbid")
            const deciding = forbids.length > 0 ? forbids : holding
            const answer = judge(policy, { action, input: { amount } })
            expect(answer).toMatchObject({ outcome: forbids.length > 0 || holding.length === 0 ? "deny" : "allow" })
            if (deciding.length > 0) expect(answer).toMatchObject({ rule: deciding.map(({ id }) => id).join(", ") })
          }
          policy.close?.()
        },
      ),
      { numRuns: runs(15) },
    )
  })

  it("refuses options that there are not", () => {
    expect(() => cedarEngine({ reqest: cedarRequest } as never)).toThrow(/no option reqest; did you mean request/)
    expect(() => cedarEngine({ request: 7 as never })).toThrow("request must be a function, got number")
    expect(() => cedarEntity(7 as never, "a")).toThrow("type must be a text")
  })
})

describe("releases of Cedar in a directory", () => {
  const roots: string[] = []
  afterEach(async () => {
    await Promise.all(roots.splice(0).map((root) => rm(root, { recursive: true, force: true })))
  })

  async function directory(releases: Record<string, Record<string, string>>): Promise<string> {
    const root = await mkdtemp(join(tmpdir(), "serin-cedar-"))
    roots.push(root)
    for (const [version, files] of Object.entries(releases)) {
      await mkdir(join(root, version))
      for (const [name, text] of Object.entries(files)) await writeFile(join(root, version, name), text)
    }
    return root
  }
  const manifest = (version: string, more = ""): string =>
    `version: "${version}"\npolicy: { engine: cedar, files: [policies.cedar] }\n${more}`

  it("are loaded, judge beside each other, and are swapped for a new one, with nothing held of the old one", async () => {
    const permit = (max: number): string =>
      `permit(principal, action, resource) when { context.input.amount <= ${max} };`
    const root = await directory({
      "1.0.0": { "release.yaml": manifest("1.0.0"), "policies.cedar": permit(100) },
      "2.0.0": { "release.yaml": manifest("2.0.0"), "policies.cedar": permit(50) },
      "3.0.0": { "release.yaml": manifest("3.0.0"), "policies.cedar": permit(10) },
    })
    const source = releaseDirectory(root, { engines: [cedarEngine()] })
    const [one, two] = [await source.get("1.0.0"), await source.get("2.0.0")]
    const { canary, stable } = bothArms(one.policy, two.policy)
    const call = { action: "refund", input: { amount: 80 } }
    expect([stable.evaluate(call).outcome, canary.evaluate(call).outcome]).toEqual(["allow", "deny"])
    await source.drop?.("2.0.0")
    const three = await source.get("3.0.0")
    expect(() => judge(two.policy, call)).toThrow("closed")
    expect(judge(three.policy, { action: "refund", input: { amount: 11 } })).toMatchObject({ outcome: "deny" })
    expect(judge(one.policy, call)).toMatchObject({ outcome: "allow" })
  })

  it("are given back when something else of the release is refused", async () => {
    const root = await directory({
      "1.0.0": {
        "release.yaml": manifest("1.0.0", "monitor: { thresholds: limits.yaml }\n"),
        "policies.cedar": "permit(principal, action, resource);",
        "limits.yaml": "thresholds: 7\n",
      },
    })
    const engine = cedarEngine()
    const close = vi.fn<() => void>()
    const watched = { name: "cedar", compile: (files: readonly SourceFile[]) => ({ ...engine.compile(files), close }) }
    await expect(releaseDirectory(root, { engines: [watched] }).get("1.0.0")).rejects.toMatchObject({
      code: "RELEASE_INVALID",
    })
    expect(close).toHaveBeenCalledTimes(1)
  })
})

it("the library gives what this engine relies on: names of parsed sets are shared by all who use it", () => {
  const library = createRequire(import.meta.url)("@cedar-policy/cedar-wasm/nodejs") as typeof Cedar
  library.preparsePolicySet("shared", { staticPolicies: "permit(principal, action, resource);" })
  library.preparsePolicySet("shared", { staticPolicies: "forbid(principal, action, resource);" })
  const uid = { type: "T", id: "x" }
  const call = { principal: uid, action: { type: "Action", id: "x" }, resource: uid, context: {}, entities: [] }
  const answer = library.statefulIsAuthorized({ ...call, preparsedPolicySetId: "shared" })
  expect(answer).toMatchObject({ response: { decision: "deny" } })
})

function endless(): object {
  const root: Record<string, unknown> = {}
  root["self"] = root
  return root
}
