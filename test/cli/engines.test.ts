import { beforeEach, describe, expect, it } from "vitest"
import { opaModule } from "../engines/opa-module.js"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { useBench } from "./harness.js"

const bench = useBench()

const cedar = (limit: number) => `
@id("read")
permit(principal, action == Action::"get_order", resource);
@id("refund")
permit(principal, action == Action::"issue_refund", resource) when { context.input.amount <= ${limit} };
`
const manifest = (version: string, policy: string) => `version: "${version}"\npolicy: ${policy}\n`

/** Calls in which one of ten asks for a refund of 700. */
const CALLS = Array.from({ length: 40 }, (_, i) => ({
  session: `s${i % 8}`,
  tool: i % 10 === 0 ? "issue_refund" : "get_order",
  input: { amount: i % 10 === 0 ? 700 : 40 },
}))

beforeEach(async () => {
  await bench().serin("init")
  const dir = "safety/releases"
  await bench().write(`${dir}/1.4.0/release.yaml`, manifest("1.4.0", "{ engine: cedar, files: [p.cedar] }"))
  await bench().write(`${dir}/1.4.0/p.cedar`, cedar(1000))
  await bench().write(`${dir}/1.5.0/release.yaml`, manifest("1.5.0", "{ engine: cedar, files: [p.cedar] }"))
  await bench().write(`${dir}/1.5.0/p.cedar`, cedar(500))
  await bench().write("calls.jsonl", CALLS.map((call) => JSON.stringify(call)).join("\n"))
})

describe("releases of engines that are optional", () => {
  it("are validated, replayed, and asked at the gate, and it is said that the engine has no options here", async () => {
    expect(await bench().serin("validate")).toMatchObject({
      code: 0,
      err: expect.stringContaining("note: cedar judges"),
    })
    const { doc, code } = await bench().json("replay", "--calls", "calls.jsonl")
    expect({ code, differing: doc["differing"] }).toEqual({ code: 9, differing: 4 })
    expect(doc["differences"]).toMatchObject([{ of: { tool: "issue_refund", stable: { rule: "refund" } }, calls: 4 }])
    const spec = await bench().read("safety/rollout.yaml")
    await bench().write("safety/rollout.yaml", `${spec}  gate: { replay: ../calls.jsonl }\n`)
    const start = await bench().serin("start")
    expect(start.err).toMatch(/newly_denied_rate_max|replay/)
    expect(start.code).toBe(1)
  })

  it("are checked by the commands of releases, which name what is wrong with a policy", async () => {
    const { doc } = await bench().json("release", "verify", "safety/releases/1.5.0")
    expect(doc).toMatchObject({ compiled: true })
    await bench().write("safety/releases/1.5.0/p.cedar", "permit(")
    const { code, err } = await bench().serin("validate")
    expect({ code, err }).toMatchObject({ code: 1, err: expect.stringContaining("p.cedar") })
    expect((await bench().serin("release", "verify", "safety/releases/1.5.0")).code).toBe(1)
  })

  it("are compared as files where their rules are not known", async () => {
    const { doc } = await bench().json("release", "diff", "safety/releases/1.4.0", "safety/releases/1.5.0")
    expect(doc).toMatchObject({ direction: "unclear", files: [{ path: "p.cedar", what: "changed" }] })
  })

  it("may be of OPA", async () => {
    const dir = join(bench().cwd, "safety/releases/1.5.0")
    await bench().write(
      "safety/releases/1.5.0/release.yaml",
      manifest("1.5.0", "{ engine: opa, files: [policy.wasm, data.json] }"),
    )
    await writeFile(join(dir, "policy.wasm"), opaModule())
    await bench().write("safety/releases/1.5.0/data.json", `{"limit":500}`)
    const { doc } = await bench().json("replay", "--calls", "calls.jsonl")
    expect(doc).toMatchObject({ calls: 40 })
    expect((await bench().serin("validate")).code).toBe(0)
  })
})

describe("engines of the host's", () => {
  const use = (policy: string) => bench().write("safety/releases/1.5.0/release.yaml", manifest("1.5.0", policy))
  const engines = (text: string) => bench().write("engines.mjs", text)

  it("are named by a module, and judge in the place of ours of the same name", async () => {
    await use("{ engine: mine, files: [p.cedar] }")
    const without = await bench().serin("replay", "--calls", "calls.jsonl")
    expect(without).toMatchObject({ code: 1, err: expect.stringContaining("the unknown `mine`") })
    expect(without.err).toContain("--engines FILE")
    await engines(`
      const all = (outcome) => ({ compile: () => ({ evaluate: () => outcome }) })
      export default [{ name: "mine", ...all("deny") }, { name: "cedar", ...all("allow") }]`)
    const { doc } = await bench().json("replay", "--calls", "calls.jsonl", "--engines", "engines.mjs")
    expect(doc["outcomes"]).toMatchObject({ allow: { deny: 40 } })
    expect(await bench().serin("validate", "--engines", "engines.mjs")).toMatchObject({ code: 0, err: "" })
  })

  it.each([
    ["none.mjs", "", "--engines none.mjs is not there"],
    ["engines.mjs", "throw new Error('no key')", "--engines engines.mjs fails: no key"],
    ["engines.mjs", "export const engine = 1", "its default export must be a list with at least one engine"],
  ])("are refused with the way out: %s holding %j", async (file, text, message) => {
    await engines(text)
    const { code, err } = await bench().serin("validate", "--engines", file)
    expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining(message) })
  })
})
