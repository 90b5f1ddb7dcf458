import { existsSync, readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { describe, expect, it } from "vitest"
import { HELP, OPTIONS } from "../../bench/peers/command.js"
import { installed, needs, readLock } from "../../bench/peers/install-size.js"
import { reportOf } from "../../bench/peers/report.js"
import type { Measured } from "../../bench/peers/report.js"
import { SIDES } from "../../bench/peers/sides.js"
import { tablesOf } from "../../bench/peers/table.js"
import { check } from "../../bench/peers/check.js"

const OPENFEATURE = "OpenFeature + flagd + MetricsHook"

const measured = (name: string, is: Measured["is"], times: number): Measured => ({
  name,
  is,
  share: 0.05,
  // One round in which the machine was twice as slow, for all.
  cpuNs: [100, 200, 100].map((ns) => ns * times),
  tailNs: [1000 * times],
  garbageBytes: 200 * times,
  heapBytes: 2048,
  arraysBytes: 0,
  imports: { ms: [30 * times], afterApiMs: [20 * times] },
  install: { packages: 3, bytes: 2e6, packedBytes: 5e5 },
})
const report = () =>
  reportOf("v20", [measured("serin", "ours", 1), measured("kept", "other", 1), measured(OPENFEATURE, "peer", 25)])

describe("npm run bench:peers", () => {
  it("holds ours against each peer by what both took in the same round, so that a slow one changes no ratio", () => {
    const { cpu, tail, garbage } = report()
    expect(cpu).toEqual([
      expect.objectContaining({ ours: "serin", peer: OPENFEATURE, ratio: 0.04, low: 0.04, high: 0.04, oursNs: 100 }),
    ])
    expect([tail[0]?.ratio, garbage[0]?.ratio]).toEqual([0.04, 0.04])
  })

  it("keeps its aim at a twentieth of OpenFeature's time, and misses it above", () => {
    expect(report().aims).toEqual([expect.objectContaining({ aim: 0.05, ratio: 0.04, isKept: true })])
    const slow = reportOf("v20", [measured("serin", "ours", 2), measured(OPENFEATURE, "peer", 25)])
    expect(slow.aims).toEqual([expect.objectContaining({ ratio: 0.08, isKept: false })])
  })

  it("refuses rounds that one side has and the other has not", () => {
    const short = { ...measured(OPENFEATURE, "peer", 2), tailNs: [] }
    expect(() => reportOf("v20", [measured("serin", "ours", 1), short])).toThrow(/unlike rounds/)
  })

  it("writes tables with a row a peer and a row a side, each with as many cells as its head", () => {
    const [ratios, figures] = tablesOf(report())
      .split("\n\n")
      .map((table) => table.split("\n").map((line) => line.split("|").slice(1, -1)))
    expect(ratios).toHaveLength(2 + 1)
    expect(figures).toHaveLength(2 + 3)
    for (const table of [ratios!, figures!]) expect(new Set(table.map((cells) => cells.length)).size).toBe(1)
    const all = "0.0400 (0.0400–0.0400)"
    expect(ratios![2]!.map((cell) => cell.trim())).toEqual([OPENFEATURE, all, all, "0.0400"])
    expect(figures![2]!.slice(1, 5).map((cell) => cell.trim())).toEqual(["100 ns", "1.0 µs", "200 B", "30 ms"])
  })

  it("tells of every option in its help, and writes JSON of what it says there", () => {
    for (const name of Object.keys(OPTIONS)) if (name !== "help") expect(HELP).toContain(`--${name}`)
    expect(parseArgs({ options: OPTIONS, args: ["--quick", "--json", "a.json"] }).values).toMatchObject({
      quick: true,
      json: "a.json",
    })
    const fields = /write \{ (.+) \}/.exec(HELP)![1]!.split(", ")
    expect(Object.keys(report()).sort()).toEqual(fields.sort())
  })

  it("counts for an install what Node.js would find: dependencies, and peers that are not optional, each once", () => {
    const lock = {
      packages: {
        "node_modules/a": {
          dependencies: { b: "1" },
          peerDependencies: { c: "1", d: "1" },
          peerDependenciesMeta: { d: { optional: true } },
        },
        "node_modules/a/node_modules/b": { dependencies: { c: "1" } },
        "node_modules/b": {},
        "node_modules/c": { dependencies: { a: "1", missing: "1" } },
        "node_modules/d": {},
      },
    }
    expect([...installed(lock, ["a"])].sort()).toEqual([
      "node_modules/a",
      "node_modules/a/node_modules/b",
      "node_modules/c",
    ])
  })

  it("measures all of them with one version of OpenTelemetry, and installs none of them for the project", () => {
    const [own, peers] = [readLock("."), readLock("bench/peers")]
    const versionIn = (lock: object, name: string): unknown =>
      (lock as { packages: Record<string, { version: string }> }).packages[`node_modules/${name}`]?.version
    for (const name of ["@opentelemetry/api", "@opentelemetry/sdk-metrics"]) {
      expect(versionIn(peers, name)).toBe(versionIn(own, name))
    }
    expect(Object.keys(peers.packages).filter((path) => path.endsWith("node_modules/@opentelemetry/api"))).toHaveLength(
      1,
    )
    expect(needs(own.packages[""]!)).not.toContain("unleash-client")
    const manifest = JSON.parse(readFileSync("bench/peers/package.json", "utf8")) as {
      private: boolean
      dependencies: object
    }
    expect(manifest.private).toBe(true)
    for (const { packages } of SIDES)
      expect(Object.keys(manifest.dependencies)).toEqual(expect.arrayContaining([...packages]))
  })
})

const areThere = existsSync("bench/peers/node_modules")
if (!areThere && process.env["SERIN_REQUIRE_PEERS"] === "1") {
  throw new Error("peers are not there, and must be: npm ci --prefix bench/peers")
}
const peers = SIDES.filter(({ is }) => is === "peer")
if (!areThere) console.warn(`SKIPPED ${peers.length}: peers are not there: npm ci --prefix bench/peers`)

describe.skipIf(!areThere)("a peer that is measured", () => {
  it.each(peers)(
    "gives $name's canary 5 % of the sessions, keeps their arm and has every decision exported",
    async (peer) => {
      const open = await peer.open()
      try {
        const { share, decisions } = await check(open, peer.name, 1000)
        expect(share).toBeGreaterThan(0)
        expect(decisions).toBe(1000)
      } finally {
        await open.side.close()
      }
    },
  )
})
