import { createRequire } from "node:module"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import * as fc from "fast-check"
import type * as Opa from "@open-policy-agent/opa-wasm"
import { packTar } from "modern-tar"
import { describe, expect, it } from "vitest"
import { opaEngine, opaInput, opaOutcome } from "../../src/engines/opa.js"
import type { OpaOptions } from "../../src/engines/opa.js"
import { isSerinError } from "../../src/errors.js"
import type { Call } from "../../src/model/call.js"
import { releaseDirectory } from "../../src/release/load.js"
import { packTree } from "../../src/release/pack.js"
import { packedFiles } from "../../src/release/unpack.js"
import { treeFile } from "../../src/release/tree.js"
import type { Evaluation, Policy, SourceFile } from "../../src/release/ports.js"
import { runs } from "../runs.js"
import { bothArms } from "./both-arms.js"
import { opaModule } from "./opa-module.js"

const context = { sessionId: "s1", startedAt: 0 }
const file = (path: string, content: Uint8Array | string): SourceFile => ({
  path,
  text: typeof content === "string" ? content : "",
  bytes: Buffer.from(content),
})
const both = ["agent/decision", "agent/record"]
const compile = (module: Uint8Array, options?: OpaOptions, data?: unknown): Policy =>
  opaEngine(options).compile([
    file("policy.wasm", module),
    ...(data === undefined ? [] : [file("data.json", JSON.stringify(data))]),
  ])
const refund = (amount: unknown): Call => ({ action: "refund", input: { amount } })
const judge = (policy: Policy, call: Call): Evaluation => policy.evaluate(call, context)

function problemsOf(files: SourceFile[], options?: OpaOptions): string[] {
  try {
    opaEngine(options).compile(files)
  } catch (error) {
    if (!isSerinError(error)) throw error
    expect(error.code).toBe("RULES_INVALID")
    return error.problems.map(({ where, message, fix = "" }) => `${where}: ${message} (${fix})`)
  }
  throw new Error("it was compiled")
}

async function bundle(files: Record<string, Uint8Array | string>, type: "file" | "symlink" = "file"): Promise<Buffer> {
  const entries = Object.entries(files).map(([name, content]) => ({
    header: {
      name,
      size: type === "file" ? Buffer.from(content).length : 0,
      type,
      ...(type === "symlink" && { linkname: "x" }),
    },
    ...(type === "file" && { body: Buffer.from(content) }),
  }))
  return gzipSync(await packTar(entries))
}

describe("opaEngine", () => {
  it("answers what the library answers when it is asked directly", () => {
    const library = createRequire(import.meta.url)("@open-policy-agent/opa-wasm") as typeof Opa
    const direct = library.loadPolicySync(opaModule())
    const policy = compile(opaModule())
    for (const amount of [0, 99, 100, 101, 12_345]) {
      const [{ result }] = direct.evaluate(opaInput(refund(amount), context)) as [{ result: boolean }]
      expect(judge(policy, refund(amount))).toBe(result ? "allow" : "deny")
    }
  })

  it("reads an outcome with its reason and its rules", () => {
    const policy = compile(opaModule({ entrypoints: both }), { entrypoint: "agent/record" })
    expect(judge(policy, refund(5))).toEqual({ outcome: "allow", rule: "small", reason: undefined })
    expect(judge(policy, refund(500))).toEqual({ outcome: "escalate", rule: "large, all", reason: "large" })
  })

  it("fails where the rule is undefined: an empty set of results is no deny, and no allow", () => {
    const { canary } = bothArms(compile(opaModule()), compile(opaModule()))
    expect(() => judge(compile(opaModule()), { action: "refund" })).toThrow(
      "agent/decision is undefined for this input",
    )
    // Stable is asked next, and fails as well: the posture denies.
    expect(canary.evaluate({ action: "refund" })).toMatchObject({
      outcome: "deny",
      source: "posture",
      errorType: "throw",
    })
  })

  it("takes another instance after one was interrupted, which may be in any state", () => {
    const library = createRequire(import.meta.url)("@open-policy-agent/opa-wasm") as typeof Opa
    const spoilt = library.loadPolicySync(opaModule())
    expect(() => spoilt.evaluate({ amount: -1 }) as unknown).toThrow()
    expect(spoilt.evaluate({ amount: 500 })).toEqual([{ result: true }]) // what must not be believed

    const policy = compile(opaModule(), {}, { limit: 10 })
    expect(() => judge(policy, refund(-1))).toThrow("negative amount")
    expect(judge(policy, refund(500))).toBe("deny")
    expect(judge(policy, refund(11))).toBe("deny") // its data is there again
    expect(judge(policy, refund(10))).toBe("allow")
  })

  it("has a memory, data and a module of its own in each arm", () => {
    const { stable, canary } = bothArms(
      compile(opaModule(), {}, { limit: 100 }),
      compile(opaModule(), {}, { limit: 50 }),
    )
    const large = { action: "refund", input: { amount: 60, text: "x".repeat(400_000) } }
    for (let i = 0; i < 3; i++) {
      for (const call of [refund(60), large]) {
        expect(stable.evaluate(call)).toMatchObject({ outcome: "allow", arm: "stable" })
        expect(canary.evaluate(call)).toMatchObject({ outcome: "deny", arm: "canary" })
      }
      expect(canary.evaluate(refund(-1))).toMatchObject({ source: "posture", errorType: "throw" })
    }
  })

  it("asks with what the host says, and reads the answer as the host says", () => {
    const policy = compile(opaModule({ limit: 7 }), {
      input: ({ input }, { sessionId }) => ({ amount: (input as { cents: number }).cents / 100, sessionId }),
      outcome: (result) => (result === true ? "allow" : "escalate"),
    })
    expect(judge(policy, { action: "refund", input: { cents: 700 } })).toBe("allow")
    expect(judge(policy, { action: "refund", input: { cents: 800 } })).toBe("escalate")
  })

  it.each([
    ["a number that is none", { amount: Number.NaN }, /"amount" of the input is NaN/],
    ["a bigint", { amount: 5n }, /is a bigint/],
    ["a map, which would be an empty object", { amount: 5, of: new Map([["a", 1]]) }, /is an instance of Map/],
    ["a function, which would be left out", { amount: 5, of: () => 1 }, /is a function/],
    ["a cycle", cycle(), /circular/i],
  ])("fails on %s in the input", (_, input, message) => {
    expect(() => judge(compile(opaModule()), { action: "refund", input })).toThrow(message)
  })

  it("says an absent part by leaving it out, and a date by its text", () => {
    const seen: unknown[] = []
    const at = new Date(0)
    const asked = opaInput({ action: "read", input: { at, none: undefined } }, context)
    seen.push(JSON.parse(JSON.stringify(asked)))
    expect(seen).toEqual([{ action: "read", input: { at: at.toISOString() }, session: { id: "s1" } }])
    expect(judge(compile(opaModule()), { action: "read", input: { amount: 1, at, none: undefined } })).toBe("allow")
  })

  it("takes a bundle as `opa build` writes it", async () => {
    const files = {
      "/data.json": '{"limit": 3}',
      "/policy.rego": "package agent",
      "/policy.wasm": opaModule(),
      "/.manifest": "{}",
    }
    const policy = opaEngine().compile([file("bundle.tar.gz", await bundle(files))])
    expect([judge(policy, refund(3)), judge(policy, refund(4))]).toEqual(["allow", "deny"])
  })

  it("refuses files that are no policy, and says what is wrong", async () => {
    const module = file("policy.wasm", opaModule())
    expect(problemsOf([])).toEqual([expect.stringMatching(/^files: there is no module \(list/)])
    expect(problemsOf([file("data.json", "{}")])[0]).toMatch(/there is no module/)
    expect(problemsOf([module, { ...module, path: "b.wasm" }])[0]).toMatch(/^b\.wasm: is a second module/)
    expect(problemsOf([module, file("data.json", "[1]")])[0]).toMatch(/must be a JSON object/)
    expect(problemsOf([module, file("data.json", "{")])[0]).toMatch(/is no JSON/)
    expect(problemsOf([module, file("policy.rego", "package a")])[0]).toMatch(/no file of OPA by its name/)
    expect(problemsOf([file("policy.wasm", "not wasm")])[0]).toMatch(/cannot be loaded: .*magic/)
    const empty = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])
    expect(problemsOf([file("policy.wasm", empty)])[0]).toMatch(/is no policy of OPA: it has no builtins, entrypoints/)
    expect(problemsOf([{ path: "policy.wasm", text: "" }])[0]).toMatch(/came without its bytes/)
    const multiple = file("policy.wasm", opaModule({ entrypoints: both }))
    expect(problemsOf([multiple])[0]).toMatch(/has 2 entrypoints \(`entrypoint` of opaEngine\(\) says which; known are/)
    expect(problemsOf([multiple], { entrypoint: "agent/decison" })[0]).toMatch(
      /no entrypoint .* did you mean `agent\/decision`/,
    )
    expect(problemsOf([file("b.tar.gz", "no gzip")])[0]).toMatch(/cannot be decompressed/)
    expect(problemsOf([file("b.tar.gz", gzipSync(Buffer.alloc(700, 65)))])[0]).toMatch(/cut off, or no tar/)
    expect(problemsOf([file("b.tar.gz", gzipSync(Buffer.alloc(65 * 1024 * 1024)))])[0]).toMatch(
      /cannot be decompressed/,
    )
    expect(problemsOf([file("b.tar.gz", await bundle({ x: "" }, "symlink"))])[0]).toMatch(/an entry of the kind "2"/)
    const nested = await bundle({ "policy.wasm": opaModule(), "limits/data.json": "{}" })
    expect(problemsOf([file("b.tar.gz", nested)])[0]).toMatch(/^b\.tar\.gz:limits\/data\.json: is not read/)
    // Its last part alone is in the field of the name.
    const deep = `${"limits/".repeat(15)}data.json`
    const long = await bundle({ "policy.wasm": opaModule(), [deep]: '{"limit": 3}' })
    expect(problemsOf([file("b.tar.gz", long)])).toEqual([expect.stringContaining(`${deep}: is not read`)])
  })

  it("is loaded from a directory and from a packed release, byte for byte, and swapped", async () => {
    const root = await mkdtemp(join(tmpdir(), "serin-opa-"))
    try {
      for (const [version, limit] of [
        ["1.0.0", 100],
        ["2.0.0", 50],
      ] as const) {
        await mkdir(join(root, version))
        const manifest = `version: "${version}"\npolicy: { engine: opa, files: [policy.wasm] }\n`
        await writeFile(join(root, version, "release.yaml"), manifest)
        await writeFile(join(root, version, "policy.wasm"), opaModule({ limit }))
      }
      const source = releaseDirectory(root, { engines: [opaEngine()] })
      const { stable, canary } = bothArms((await source.get("1.0.0")).policy, (await source.get("2.0.0")).policy)
      expect([stable.evaluate(refund(60)).outcome, canary.evaluate(refund(60)).outcome]).toEqual(["allow", "deny"])
    } finally {
      await rm(root, { recursive: true })
    }
    const packed = await packTree([treeFile("policy.wasm", "policy.wasm", Buffer.from(opaModule()))!])
    const [unpacked] = (await packedFiles(packed, "1.0.0.tgz")).all ?? []
    expect(Buffer.from(opaModule()).equals(unpacked!.bytes)).toBe(true)
  })

  it("decides as a plain comparison does, for any amount and limit, whatever was asked before", () => {
    const amount = fc.integer({ min: -3, max: 40 })
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), fc.array(amount, { maxLength: 12 }), (limit, amounts) => {
        const policy = compile(opaModule({ limit }))
        for (const one of amounts) {
          if (one < 0) expect(() => judge(policy, refund(one))).toThrow("negative")
          else expect(judge(policy, refund(one))).toBe(one <= limit ? "allow" : "deny")
        }
      }),
      { numRuns: runs(50) },
    )
  })

  it("refuses options that there are not", () => {
    expect(() => opaEngine({ entrypont: "a" } as never)).toThrow(/did you mean entrypoint/)
    expect(() => opaEngine({ entrypoint: "" })).toThrow("entrypoint must be a text")
    expect(() => opaEngine({ input: 7 as never })).toThrow("input must be a function")
    expect(() => opaEngine({ outcome: 7 as never })).toThrow("outcome must be a function")
    expect(() => opaEngine({ builtins: { now: 7 as never } })).toThrow("builtins.now must be a function")
  })
})

describe("opaOutcome", () => {
  it.each<[unknown, Evaluation]>([
    [true, "allow"],
    [false, "deny"],
    [{ allow: true }, { outcome: "allow" }],
    [
      { allow: false, reason: "closed" },
      { outcome: "deny", reason: "closed" },
    ],
    [
      { decision: "escalate", rule: "r" },
      { outcome: "escalate", rule: "r" },
    ],
    [
      { outcome: "deny", rules: ["b", "a"] },
      { outcome: "deny", rule: "b, a" },
    ],
    [{ outcome: "deny", rules: [] }, { outcome: "deny" }],
  ])("reads %j", (result, evaluation) => {
    const told = opaOutcome(result)
    if (typeof evaluation === "string") expect(told).toBe(evaluation)
    else expect(told).toEqual(evaluation)
  })

  it.each<[unknown, RegExp]>([
    ["allow", /answered "allow"/],
    [null, /answered null/],
    [1, /answered a number/],
    [["allow"], /answered a list/],
    [{}, /must have one of allow, outcome and decision, got none/],
    [{ allow: true, outcome: "deny" }, /got allow and outcome/],
    [{ allow: true, deny: ["too large"] }, /unknown key "deny"/],
    [{ allow: "true" }, /allow must be true or false, got "true"/],
    [{ outcome: "block" }, /outcome must be allow, deny or escalate, got "block"/],
    [{ outcome: true }, /outcome must be allow/],
    [{ allow: true, reason: 7 }, /reason must be a text, got a number/],
    [{ allow: true, rules: "a" }, /rules must be a list of texts/],
    [JSON.parse('{"__proto__": {"allow": true}}'), /unknown key "__proto__"/],
  ])("refuses %j", (result, message) => {
    expect(() => opaOutcome(result)).toThrow(message)
  })
})

function cycle(): object {
  const root: Record<string, unknown> = { amount: 5 }
  root["self"] = root
  return root
}
