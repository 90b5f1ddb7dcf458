import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { z } from "zod"
import { rulesEngine } from "../../src/engines/rules.js"
import { isSerinError, type Problem } from "../../src/errors.js"
import { compileJsonSchema } from "../../src/release/config-schema.js"
import { loadRelease } from "../../src/release/load.js"
import type { Release, StandardSchema } from "../../src/release/ports.js"
import { harness, idOn, release, stateWith, T0 } from "../guard/harness.js"

const SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  properties: {
    limit: { type: "integer", minimum: 1, maximum: 1000, default: 10 },
    mode: { enum: ["strict", "lax"] },
    names: { type: "array", items: { $ref: "#/$defs/name" }, maxItems: 3 },
  },
  required: ["limit"],
  additionalProperties: false,
  $defs: { name: { type: "string", minLength: 2 } },
}

const withConfig = (version: string, config: unknown, configSchema?: StandardSchema): Release => ({
  ...release(version, () => "allow"),
  config,
  configSchema,
})

/** Problems of a release in code, as `where: message`. */
function problemsOf(config: unknown, configSchema?: unknown): string[] {
  try {
    harness({}, stateWith(), {
      releases: new Map([["1.0.0", withConfig("1.0.0", config, configSchema as StandardSchema)]]),
    })
  } catch (error) {
    if (!isSerinError(error)) throw error
    expect(error.code).toBe("RELEASE_INVALID")
    expect(error.message).toContain("release 1.0.0")
    return error.problems.map(({ where, message }) => `${where}: ${message}`)
  }
  return []
}

/** Problems of a JSON Schema, or of a config that it is held against. */
function jsonProblems(config: unknown, schema: unknown): string[] {
  const problems: Problem[] = []
  const check = compileJsonSchema(schema, "schema.json", problems)
  const misfits = check?.(config) ?? []
  return [...problems.map(({ where, message }) => `${where}: ${message}`), ...misfits.map(({ message }) => message)]
}

describe("session.config", () => {
  const stable = withConfig("1.0.0", { limit: 5, deep: { list: [1] } })
  const canary = withConfig("2.0.0", { limit: 9 })
  const releases = new Map([stable, canary].map((one) => [one.version, one]))

  it("is that of the arm that serves the session", () => {
    const { guard } = harness({}, stateWith(), { releases })
    for (const arm of ["stable", "canary"] as const) {
      const session = guard.session(idOn(guard, arm))
      expect(session.config).toBe(arm === "stable" ? stable.config : canary.config)
      expect(session.arm).toBe(arm)
    }
    expect(guard.sessionless.config).toBe(stable.config)
  })

  it.each([
    ["a rollback", { ended: { kind: "rolled_back" as const, at: T0 } }],
    ["a kill to stable", { kill: "stable" as const }],
    ["a lockdown", { kill: "deny" as const }],
  ])("is stable's again after %s", (_, differs) => {
    const { guard, state } = harness({}, stateWith(), { releases })
    const session = guard.session(idOn(guard, "canary"))
    expect(session.config).toBe(canary.config)
    state.set(stateWith({ revision: 2, ...differs }))
    expect([session.config, session.arm]).toEqual([stable.config, "stable"])
  })

  it("that was read as stable's stays stable's, whatever is loaded or ramped later", () => {
    const late = new Map([["1.0.0", stable]])
    const { guard, state } = harness({}, stateWith({ ramp: [{ at: T0, weightBp: 10_000, stage: 0 }] }), {
      releases: late,
    })
    const session = guard.session("a", { startedAt: T0 })
    expect([session.config, session.arm]).toEqual([stable.config, "stable"])
    late.set("2.0.0", canary)
    guard.refresh()
    state.set(stateWith({ revision: 2, ramp: [{ at: T0, weightBp: 10_000, stage: 0 }] }))
    expect([session.config, session.arm]).toEqual([stable.config, "stable"])
  })

  it("is undefined where the release has none", () => {
    expect(harness().guard.session("a").config).toBeUndefined()
  })

  it("is frozen to its depth, also where only its surface was", () => {
    const config = Object.freeze({ deep: { list: [{ x: 1 }] } })
    const { guard } = harness({}, stateWith(), { releases: new Map([["1.0.0", withConfig("1.0.0", config)]]) })
    const seen = guard.session(idOn(guard, "stable")).config as typeof config
    expect(seen).toBe(config)
    expect([seen.deep, seen.deep.list, seen.deep.list[0]].map((one) => Object.isFrozen(one))).toEqual([
      true,
      true,
      true,
    ])
  })
})

describe("a config made in code", () => {
  it("that fits its schema is taken", () => {
    expect(problemsOf({ limit: 10, mode: "lax", names: ["ab"] }, z.fromJSONSchema(SCHEMA as never))).toEqual([])
    expect(problemsOf({ limit: 10 }, z.object({ limit: z.number() }))).toEqual([])
    expect(problemsOf(undefined)).toEqual([])
    expect(problemsOf(7)).toEqual([])
  })

  it.each([
    [{ limit: 0 }, "config.limit: Too small: expected number to be >=1, got 0"],
    [{ limit: "5" }, 'config.limit: Invalid input: expected number, received string, got "5"'],
    [{ limit: 1, names: ["ab", "c"] }, 'config.names[1]: Too small: expected string to have >=2 characters, got "c"'],
    [{ limit: 1, other: 1 }, 'config: Unrecognized key: "other"'],
  ])("%j does not fit what zod made of a JSON Schema, and the error names path, rule and value", (config, problem) => {
    expect(problemsOf(config, z.fromJSONSchema(SCHEMA as never))[0]).toContain(problem)
  })

  it("that does not fit the schema of a library is refused with its path, and what the schema makes of it is not used", () => {
    const schema = z.object({ limits: z.array(z.object({ max: z.number().max(5) })) })
    const [problem] = problemsOf({ limits: [{ max: 1 }, { max: 6 }] }, schema)
    expect(problem).toMatch(/^config\.limits\[1\]\.max: .*<=5.*, got 6$/)
    const config = { limit: 1 }
    const filling = z.object({ limit: z.number().transform((n) => n * 100), extra: z.string().default("x") })
    expect(problemsOf(config, filling)).toEqual([])
    expect(config).toEqual({ limit: 1 })
  })

  it("is refused when its schema answers later, fails, or has no config to check", () => {
    const later = { "~standard": { version: 1, vendor: "t", validate: async () => ({ value: 1 }) } }
    expect(problemsOf({}, later)).toEqual([
      "config: the schema answers later, and a release is checked at once, got {}",
    ])
    const failing = { "~standard": { version: 1, vendor: "t", validate: () => fail() } }
    expect(problemsOf({}, failing)[0]).toContain("the schema failed: no")
    expect(problemsOf(undefined, z.object({}))).toEqual(["config: is missing, but there is a `configSchema`"])
    for (const none of [7, SCHEMA, { "~standard": {} }]) {
      const [problem] = problemsOf({}, none)
      expect(problem).toContain("configSchema: must be a schema of a library that speaks Standard Schema, got ")
    }
  })

  const cycle: Record<string, unknown> = {}
  cycle["self"] = cycle
  it.each([
    [{ at: new Date(0) }, "config.at: must be plain data, got an instance of Date"],
    [{ fn: () => 1 }, "config.fn: must be plain data, got a function"],
    [{ list: [undefined] }, "config.list[0]: must be plain data, got a undefined"],
    [{ n: NaN }, "config.n: must be plain data, got NaN"],
    [new Map(), "config: must be plain data, got an instance of Map"],
    [cycle, "config.self: must be plain data, got a cycle"],
    [
      {
        get x() {
          return 1
        },
      },
      "config.x: must be a value, got a getter",
    ],
    [JSON.parse('{"__proto__":{"a":1}}'), "config.__proto__: must not be a key"],
  ])("that is no plain data is refused: %#", (config, problem) => {
    expect(problemsOf(config)).toEqual([problem])
  })
})

function fail(): never {
  throw new Error("no")
}

describe("a JSON Schema", () => {
  it.each([
    [{ minimum: 5 }, "schema.json#/: must have a `type` that is known"],
    [{ type: "number", minimum: "5" }, 'schema.json#//minimum: must be a number, got "5"'],
    [{ type: "number", minLength: 5 }, "schema.json#//minLength: `minLength` is not supported for number"],
    [{ type: "object", patternProperties: {} }, "`patternProperties` is not supported for object"],
    [{ type: "object", properties: { a: { not: {} } } }, "schema.json#/properties/a: must have a `type`"],
    [{ type: "object", required: ["a"] }, "`required` names `a`, which `properties` has not"],
    [JSON.parse('{"if":{},"then":{}}'), "must have a `type` that is known"],
    [{ anyOf: [{ type: "string" }], minimum: 1 }, "`minimum` beside `anyOf` is not kept"],
    [{ $ref: "https://example.com/x" }, "must be a name in `#/$defs/`"],
    [{ $ref: "#/$defs/none" }, "Reference not found"],
    [{ type: "string", format: "postcode" }, "`format` is the unknown `postcode`"],
    [{ type: "string", pattern: "(" }, "Invalid regular expression"],
    [{ enum: [{ a: 1 }] }, "must be texts, numbers, booleans or null"],
    [{ $schema: "http://json-schema.org/draft-07/schema#", type: "string" }, "is another dialect of JSON Schema"],
    [{ type: "array", items: [{ type: "string" }] }, "schema.json#/items: must be a schema"],
  ])("%j is refused, since part of it would not be kept", (schema, problem) => {
    expect(jsonProblems({}, schema).join("\n")).toContain(problem.replace("#//", "#/"))
  })

  it("does not fill in defaults, and asks for what is required although it has one", () => {
    expect(jsonProblems({}, SCHEMA)).toHaveLength(1)
  })

  it.each([
    [{ type: ["string", "null"], minLength: 2 }, ["ab", null], ["a", 1]],
    [{ oneOf: [{ type: "integer" }, { const: "auto" }] }, [1, "auto"], [1.5, "manual"]],
    [
      {
        allOf: [
          { type: "number", minimum: 1 },
          { type: "number", multipleOf: 5 },
        ],
      },
      [5],
      [4, 0],
    ],
    [{ type: "array", uniqueItems: true, minItems: 1 }, [[1, 2]], [[], [1, 1]]],
    [
      { type: "object", additionalProperties: { type: "boolean" }, maxProperties: 1 },
      [{ a: true }],
      [{ a: 1 }, { a: true, b: true }],
    ],
    [{ type: "array", maxItems: 1 }, [[], [1]], [[1, 2]]],
    [{ type: "string", pattern: "^a" }, ["ab"], ["ba"]],
    [{}, [1, "x", [], {}], []],
  ])("%j takes what it says and nothing else", (schema, good, bad) => {
    for (const value of good) expect(jsonProblems(value, schema), JSON.stringify(value)).toEqual([])
    for (const value of bad) expect(jsonProblems(value, schema), JSON.stringify(value)).not.toEqual([])
  })
})

describe("a config in a release's directory", () => {
  let root: string
  beforeEach(async () => {
    root = join(await mkdtemp(join(tmpdir(), "serin-config-")), "1.4.0")
    await mkdir(root)
  })
  afterEach(() => rm(join(root, ".."), { recursive: true, force: true }))

  async function load(config: string, differs: { manifest?: string; schema?: string } = {}): Promise<Release> {
    const manifest =
      'version: "1.4.0"\npolicy: { engine: rules }\nconfig: { file: config.yaml, schema: config.schema.json }\n'
    const files = {
      "release.yaml": differs.manifest ?? manifest,
      "rules.yaml": 'rules: [{ id: read, action: "get_*", effect: allow }]\n',
      "config.yaml": config,
      "config.schema.json": differs.schema ?? JSON.stringify(SCHEMA),
    }
    for (const [name, text] of Object.entries(files)) await writeFile(join(root, name), text)
    return loadRelease(root, { engines: [rulesEngine()] })
  }

  const problems = async (...given: Parameters<typeof load>): Promise<string[]> => {
    const error: unknown = await load(...given).then(
      () => new Error("it was loaded"),
      (reason: unknown) => reason,
    )
    if (!isSerinError(error)) throw error
    return error.problems.map(({ where, message, fix = "" }) =>
      `${where}: ${message} (${fix})`.replaceAll(`${root}/`, ""),
    )
  }

  it("is loaded, frozen, and part of the digest", async () => {
    const one = await load("limit: 5\nnames: [ab, cd]\n")
    expect(one.config).toEqual({ limit: 5, names: ["ab", "cd"] })
    expect(Object.isFrozen((one.config as { names: unknown }).names)).toBe(true)
    expect((await load("limit: 6\n")).digest).not.toBe(one.digest)
  })

  it("that does not fit is refused with file, line, path, rule, value and fix", async () => {
    expect(await problems("mode: lax\nlimit: 5000\nnames: [ab, c]\n")).toEqual([
      "config.yaml:2:8: `limit`: Too big: expected number to be <=1000, got 5000 (change it, or config.schema.json)",
      'config.yaml:3:13: `names[1]`: Too small: expected string to have >=2 characters, got "c" (change it, or config.schema.json)',
    ])
  })

  it.each([
    ["limit: .inf\n", "config.yaml:1:8: must be a text, a finite number"],
    ["a: &x 1\nlimit: *x\n", "config.yaml:2:8: is an alias, which is not read"],
    ["limit: 1\nlimit: 2\n", "config.yaml:2:1: the key `limit` is there twice"],
    ["__proto__: { x: 1 }\nlimit: 1\n", "config.yaml:1:1: must not be a key"],
    ["", "config.yaml:1:1: the file is empty"],
  ])("is plain data: %j is refused", async (config, problem) => {
    expect((await problems(config))[0]).toContain(problem)
  })

  it.each([
    ["config: { file: config.yaml }", "`config` has no `schema`"],
    ["config: config.yaml", "`config` must be a mapping"],
    ["config: { file: ../x.yaml, schema: config.schema.json }", "is no plain path inside the release"],
    ["config: { file: missing.yaml, schema: config.schema.json }", "missing.yaml: is missing"],
  ])("is named by the manifest: %s is refused", async (line, problem) => {
    const manifest = `version: "1.4.0"\npolicy: { engine: rules }\n${line}\n`
    expect((await problems("limit: 1\n", { manifest })).join("\n")).toContain(problem)
  })

  it("has a schema that is kept in full", async () => {
    const schema = JSON.stringify({ type: "object", properties: { limit: { minimum: 1 } } })
    expect(await problems("limit: 1\n", { schema })).toEqual([
      expect.stringContaining("config.schema.json#/properties/limit: must have a `type` that is known"),
    ])
  })
})
