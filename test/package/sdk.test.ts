import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const run = promisify(execFile)
const root = fileURLToPath(new URL("../..", import.meta.url))
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
/** The newest SDK that runs here: 3.x asks for Node.js 22.15. Between them, the legs of CI have both ends of the range of the peer. */
const SDK = major > 22 || (major === 22 && minor >= 15) ? "3" : "2"

const ROLLOUT = `rollout: refund-agent
stable: 1.0.0
canary:
  release: 2.0.0
  shadow: false
  stages: [50, 100]
  activation_delay: "0s"
  acceptance_criteria: { deny_rate_delta_max: 0.02 }
`

/** What a user writes, but for how it is imported. */
const BODY = `
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 31 - 1 })
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
  const policy = { evaluate: ({ action }) => (action === "refund" ? "allow" : "deny") }
  const releases = new Map(["1.0.0", "2.0.0"].map((version) => [version, { version, policy }]))
  const guard = await embed({ rollout: "rollout.yaml", store: memoryStore(), releases, start: true })
  const outcomes = new Set()
  for (let i = 0; i < 200; i++) outcomes.add(guard.session("session-" + i).evaluate({ action: i % 2 ? "refund" : "drop" }).outcome)
  await guard.idle()
  const { resourceMetrics, errors } = await reader.collect()
  await guard.close()
  const found = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)
  const arms = (name, of) => {
    const sums = {}
    for (const { attributes, value } of found.find(({ descriptor }) => descriptor.name === name).dataPoints) {
      sums[attributes["serin.arm"]] = (sums[attributes["serin.arm"]] ?? 0) + of(value)
    }
    return sums
  }
  console.log(JSON.stringify({
    outcomes: [...outcomes].sort(),
    errors,
    evaluations: arms("serin.evaluations", (value) => value),
    sessions: arms("serin.sessions", (value) => value),
    durations: arms("serin.evaluation.duration", ({ count }) => count),
  }))
  process.exit(0)`

const NAMES = {
  serin: "{ embed, memoryStore }",
  "@opentelemetry/api": "{ metrics }",
  "@opentelemetry/sdk-metrics":
    "{ AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader }",
}
const PROGRAMS = {
  "imported.mjs": Object.entries(NAMES).map(([from, names]) => `import ${names} from "${from}"`),
  "required.cjs": Object.entries(NAMES).map(([from, names]) => `const ${names} = require("${from}")`),
}

/** Needs a build before it: `npm run build`. */
describe(`the package in an empty project with @opentelemetry/sdk-metrics ${SDK}.x, on Node.js ${process.version}`, () => {
  let project: string
  beforeAll(async () => {
    if (!existsSync(join(root, "dist"))) throw new Error("dist/ is missing: run `npm run build` first")
    project = await mkdtemp(join(tmpdir(), "serin-sdk-"))
    const pack = ["pack", "--json", "--ignore-scripts", "--pack-destination", project]
    const [{ filename }] = JSON.parse((await run("npm", pack, { cwd: root })).stdout) as [{ filename: string }]
    await writeFile(join(project, "package.json"), `{ "private": true }\n`)
    await writeFile(join(project, "rollout.yaml"), ROLLOUT)
    const quiet = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
    const packages = [join(project, filename), `@opentelemetry/sdk-metrics@^${SDK}`]
    await run("npm", ["install", ...quiet, ...packages], { cwd: project })
  })
  afterAll(async () => {
    if (project !== undefined) await rm(project, { recursive: true, force: true })
  })

  it("installs with that SDK, which its range of peers has", async () => {
    const path = join(project, "node_modules/@opentelemetry/sdk-metrics/package.json")
    const { version } = JSON.parse(await readFile(path, "utf8")) as { version: string }
    expect(version.split(".")[0]).toBe(SDK)
    // Throws for a peer whose range is not kept.
    await run("npm", ["ls", "@opentelemetry/api", "@opentelemetry/sdk-metrics"], { cwd: project })
  })

  it.each(Object.entries(PROGRAMS))("counts decisions by arm where it is %s", async (file, head) => {
    const body = file.endsWith(".cjs") ? `;(async () => {${BODY}\n})()` : BODY
    await writeFile(join(project, file), [...head, body].join("\n"))
    const { stdout, stderr } = await run(process.execPath, [file], { cwd: project, timeout: 20_000 })
    expect(stderr).toBe("")
    const told = JSON.parse(stdout) as Record<"evaluations" | "sessions" | "durations", Record<string, number>>
    expect(told).toMatchObject({ outcomes: ["allow", "deny"], errors: [] })
    const { stable = 0, canary = 0 } = told.evaluations
    expect(stable + canary).toBe(200)
    // Half of 200, by a hash of the salt of the day: outside of this once in 10^13.
    expect(Math.abs(canary - 100)).toBeLessThan(55)
    expect(told.sessions).toEqual(told.evaluations)
    expect(told.durations).toEqual(told.evaluations)
  })
})
