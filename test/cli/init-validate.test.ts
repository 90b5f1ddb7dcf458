import { describe, expect, it } from "vitest"
import { STARTER_FILES } from "../../src/cli/starter.js"
import { rulesEngine } from "../../src/engines/rules.js"
import { releaseDirectory } from "../../src/release/load.js"
import { parseSpec } from "../../src/rollout/spec.js"
import { useBench } from "./harness.js"

const bench = useBench()

describe("serin init", () => {
  it("writes a rollout that validates, and says what to do next", async () => {
    const { code, out } = await bench().serin("init")
    expect(code).toBe(0)
    for (const path of Object.keys(STARTER_FILES)) expect(out).toContain(`wrote safety/${path}`)
    expect(out).toContain("serin validate")
    expect(out).toContain("serin start")
    expect(await bench().serin("validate")).toMatchObject({ code: 0, err: "" })
  })

  it("writes two releases that differ in one understandable way", async () => {
    await bench().serin("init")
    const source = releaseDirectory(`${bench().cwd}/safety/releases`, { engines: [rulesEngine()] })
    const context = { sessionId: "s", startedAt: 0 }
    const judged = async (version: string) =>
      [
        ["get_user"],
        ["issue_refund", 500],
        ["issue_refund", 700],
        ["issue_refund", 2000],
        ["close_account"],
        ["x"],
      ].map(async ([action, amount]) => {
        const { policy } = await source.get(version)
        const evaluation = await policy.evaluate({ action: String(action), input: { amount } }, context)
        return typeof evaluation === "string" ? evaluation : evaluation.outcome
      })
    const outcomes = async (version: string) => Promise.all(await judged(version))
    expect(await outcomes("1.4.0")).toEqual(["allow", "allow", "allow", "deny", "escalate", "deny"])
    expect(await outcomes("1.5.0")).toEqual(["allow", "allow", "deny", "deny", "escalate", "deny"])
  })

  it("states what the change is meant to do, and judges every direction in which a decision can change", async () => {
    await bench().serin("init")
    const spec = parseSpec(await bench().read("safety/rollout.yaml"), { path: "rollout.yaml" })
    expect(spec.intent).toBe("tighten")
    expect(spec.criteria.filter(({ mode }) => mode === "enforce").map(({ name }) => name)).toEqual(
      expect.arrayContaining(["newly_denied_rate_max", "newly_allowed_rate_max", "escalate_rate_delta_max"]),
    )
  })

  const manifest = (...names: string[]) =>
    bench().write(
      "package.json",
      JSON.stringify({ devDependencies: Object.fromEntries(names.map((name) => [name, ""])) }),
    )

  it("writes code for what package.json names, and says what is to be installed", async () => {
    await manifest("@openai/agents", "serin", "@opentelemetry/api")
    const { doc } = await bench().json("init")
    expect(doc).toMatchObject({ framework: "openai-agents", code: "safety/agent.mjs", install: ["zod"] })
    expect(await bench().read("safety/agent.mjs")).toContain('from "serin/adapters/openai-agents"')
    expect(await bench().read("safety/.gitignore")).toContain("state/")
  })

  it("takes the first of several frameworks, says so, and lets --framework choose", async () => {
    await manifest("@modelcontextprotocol/sdk", "langchain", "typescript")
    expect((await bench().serin("init")).out).toContain(
      "the code is for langchain; package.json also has mcp: --framework chooses",
    )
    const { doc } = await bench().json("init", "other", "--framework", "mcp")
    expect(doc).toMatchObject({ framework: "mcp", code: "other/server.mts" })
    expect(await bench().read("other/server.mts")).toContain('from "@modelcontextprotocol/sdk/server/mcp.js"')
    const { code, err } = await bench().serin("init", "third", "--framework", "langgraph")
    expect({ code, err }).toMatchObject({
      code: 2,
      err: expect.stringContaining("--framework must be ai or langchain"),
    })
  })

  it("writes code for plain functions where package.json names no framework, or cannot be read, and says why", async () => {
    await bench().write("package.json", "{")
    const { out } = await bench().serin("init")
    expect(out).toContain("the code is for plain functions: package.json was not read: it is no JSON")
    expect(out).toContain("npm install serin @opentelemetry/api")
    expect(out).toContain("import `tools` and `guard` from safety/agent.mjs")
    await manifest("express")
    expect((await bench().serin("init", "other")).out).toContain("names no framework that is known here")
  })

  it("writes to another directory, and its advice names it", async () => {
    const { out } = await bench().serin("init", "guard rails")
    expect(out).toContain("serin validate --rollout 'guard rails/rollout.yaml'")
    expect((await bench().serin("validate", "--rollout", "guard rails/rollout.yaml")).code).toBe(0)
  })

  it("overwrites nothing, names what is there and leaves everything as it was", async () => {
    await bench().write("safety/releases/1.5.0/rules.yaml", "mine")
    const { code, err } = await bench().serin("init")
    expect(code).toBe(2)
    expect(err).toContain("safety/releases/1.5.0/rules.yaml: is there already")
    expect(await bench().read("safety/releases/1.5.0/rules.yaml")).toBe("mine")
    await expect(bench().read("safety/rollout.yaml")).rejects.toThrow("ENOENT")
  })
})

describe("serin validate", () => {
  it("says in words what the rollout will do", async () => {
    await bench().serin("init")
    const { out } = await bench().serin("validate")
    expect(out).toMatch(/refund-agent: 1\.4\.0 → 1\.5\.0, valid/)
    expect(out).toMatch(/1\.4\.0 {2}sha256:[0-9a-f]{64}/)
    expect(out).toMatch(/1\. +shadow +both judge, 1\.4\.0 serves +2h at least/)
    expect(out).toMatch(/2\. +5 % +of new sessions are served by 1\.5\.0 +4h at least/)
    expect(out).toMatch(/5\. +100 % +1\.5\.0 serves every new session, 1\.4\.0 still judges/)
    expect(out).toContain("error rate: above stable's by at most 1 percentage point\n")
    expect(out).toContain("latency, 99th percentile: above stable's by at most 50ms")
    expect(out).toContain("a breach rolls back at once")
    expect(out).toContain("never before 50 sessions")
    expect(out).toContain("calls that stable stops and the canary allows: none, the first is a breach\n")
    expect(out).not.toContain("take part")
  })

  it("says who takes part, and which criterion stops nothing", async () => {
    await bench().serin("init")
    const spec = await bench().read("safety/rollout.yaml")
    const notified = "newly_allowed_rate_max: { max: 0, mode: notify }"
    await bench().write(
      "safety/rollout.yaml",
      spec
        .replace(
          "  intent: tighten",
          "  eligible: { tier: [internal, beta], paying: true }\n  max_sessions: 500\n  pins: { stable: { account: bigcorp }, canary: [a, b] }\n  stages: [{ percentage: 5, max_duration: 2d, eligible: { tier: internal, paying: true } }, 100]",
        )
        .replace("newly_allowed_rate_max: 0", notified),
    )
    const { out } = await bench().serin("validate")
    expect(out).toContain("only sessions take part whose tier is internal or beta and whose paying is true\n")
    expect(out).toContain("served by 1.5.0, of those whose tier is internal and whose paying is true ")
    expect(out).toContain(" at least, not longer than 2d\n")
    expect(out).toContain("sessions pinned to 1.4.0, which are no evidence: those whose account is bigcorp\n")
    expect(out).toContain("sessions pinned to 1.5.0, which are no evidence: 2 by id\n")
    expect(out).toContain("1.5.0 serves at most 500 sessions in one process before 100 %\n")
    expect(out).toContain("the canary allows: none, the first is a breach (told only, it stops nothing)\n")
  })

  it("lists every problem of the file and of both releases at once, each at its place with a fix", async () => {
    await bench().serin("init")
    const spec = await bench().read("safety/rollout.yaml")
    await bench().write(
      "safety/rollout.yaml",
      spec
        .replace("observation_period:", "observation_perod:")
        .replace("traffic_percentage: 5", 'traffic_percentage: "5%"'),
    )
    await bench().write("safety/releases/1.4.0/rules.yaml", "rules:\n  - { id: a, action: get, effect: permit }\n")
    await bench().write("safety/releases/1.5.0/release.yaml", 'version: "1.5.1"\npolicy: { engine: rules }\n')
    const { code, out, err } = await bench().serin("validate")
    expect({ code, out }).toEqual({ code: 1, out: "" })
    expect(err.split("\n").slice(1, -1)).toEqual([
      "  safety/rollout.yaml:7:23: `canary.traffic_percentage` must be a number in percent, got 5% (write 5)",
      expect.stringMatching(/safety\/rollout\.yaml:9:3: unknown key `observation_perod` .*`observation_period`/),
      expect.stringMatching(/safety\/releases\/1\.4\.0\/rules\.yaml:2:35: .*`permit` \(.*allow/),
      expect.stringMatching(/safety\/releases\/1\.5\.0\/release\.yaml:1:10: .*1\.5\.1, but 1\.5\.0/),
    ])
  })

  it("accepts a rollout whose releases are made in code only when told so", async () => {
    await bench().write("safety/rollout.yaml", STARTER_FILES["rollout.yaml"] ?? "")
    const refused = await bench().serin("validate")
    expect(refused.code).toBe(1)
    expect(refused.err).toContain("safety/releases: is no directory")
    expect(refused.err).toContain("--spec-only")
    const told = await bench().serin("validate", "--spec-only")
    expect(told.code).toBe(0)
    expect(told.out).toContain("the releases were not checked")
  })

  it("names the release that is missing and those that are there", async () => {
    await bench().serin("init")
    const spec = await bench().read("safety/rollout.yaml")
    await bench().write("safety/rollout.yaml", spec.replace("release: 1.5.0", "release: 1.6.0"))
    const { code, err } = await bench().serin("validate")
    expect(code).toBe(1)
    expect(err).toMatch(/safety\/releases\/1\.6\.0: there is no release 1\.6\.0 in .*there are 1\.4\.0, 1\.5\.0/)
  })

  it("answers a document with --json: the spec, or the problems", async () => {
    await bench().serin("init")
    const good = await bench().json("validate")
    expect(good).toMatchObject({ code: 0, doc: { ok: true, spec: { rollout: "refund-agent" } } })
    expect(good.doc["releases"]).toHaveLength(2)
    await bench().write("safety/rollout.yaml", "rollout: refund-agent\n")
    const bad = await bench().json("validate")
    expect(bad.code).toBe(1)
    expect(bad.doc).toMatchObject({
      error: { code: "SPEC_INVALID", problems: [{ where: "safety/rollout.yaml:1:1" }, {}] },
    })
  })

  it("says `serin init` when there is no file", async () => {
    expect(await bench().serin("validate")).toMatchObject({ code: 1, err: expect.stringContaining("`serin init`") })
  })
})
