import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { embed, type Embedded } from "../../src/embed.js"
import { parseSpec } from "../../src/rollout/spec.js"
import { serializeState } from "../../src/rollout/state.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { digestOf, type Content } from "../release/signing.js"

const YAML = `
rollout: pinned
stable: "1"
canary:
  release: "2"
  stages: [100]
  observation_period: 1h
  acceptance_criteria: { deny_rate_delta_max: 0.02 }
`
const asked = { actor: { kind: "human", id: "ada" }, reason: "a test" } as const
const filesOf = (version: string, effect: string): Content => ({
  "release.yaml": `version: "${version}"\npolicy: { engine: rules }\n`,
  "rules.yaml": `rules: [{ id: ${effect}, action: "*", effect: ${effect} }]\n`,
})
const start = (digests?: object) =>
  ({ type: "start", spec: parseSpec(YAML, { path: "r.yaml" }), salt: "s", ...asked, digests }) as const

let root: string
let guard: Embedded | undefined
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "serin-pinned-"))
  await writeFile(join(root, "rollout.yaml"), YAML)
  await write("1", filesOf("1", "allow"))
  await write("2", filesOf("2", "deny"))
})
afterEach(async () => {
  await guard?.close()
  await rm(root, { recursive: true, force: true })
})

async function write(version: string, files: Content): Promise<void> {
  await mkdir(join(root, version), { recursive: true })
  for (const [path, text] of Object.entries(files)) await writeFile(join(root, version, path), text)
}

async function open(store = memoryStore(), more: object = {}) {
  const clock = fakeClock()
  guard = await embed({ rollout: join(root, "rollout.yaml"), releases: root, store, clock, ...more })
  return { guard, clock }
}

/** Wait for files, which nothing else tells of. */
async function until(met: () => boolean): Promise<void> {
  for (let i = 0; i < 20_000 && !met(); i++) await new Promise((resolve) => setImmediate(resolve))
  expect(met()).toBe(true)
}

const served = (clock: { advance(ms: number): void }, id: string) => {
  clock.advance(20_000)
  return guard!.session(id).evaluate({ action: "x" })
}

describe("a state that says which releases it means", () => {
  it("is what `start: true` makes of those that are loaded", async () => {
    const { guard } = await open(memoryStore(), { start: true })
    const digests = { stable: digestOf(filesOf("1", "allow")), canary: digestOf(filesOf("2", "deny")) }
    expect(guard.status().state.digests).toEqual(digests)
  })

  it("keeps other bytes under a canary's version out, also those that were loaded before, until the right ones are there", async () => {
    const { guard, clock } = await open()
    const rebuilt = filesOf("2", "escalate")
    await guard.act(start({ canary: digestOf(rebuilt) }))
    await guard.act({ type: "promote", ...asked })
    const meant = digestOf(rebuilt)
    expect(guard.status().unavailable.get("2")).toBe(
      `release 2 is ${digestOf(filesOf("2", "deny"))}, and the state means ${meant}`,
    )
    expect(served(clock, "a")).toMatchObject({ release: "1", outcome: "allow" })
    await until(() => guard.status().unavailable.get("2")?.includes("; put the release back") === true)
    expect(served(clock, "b")).toMatchObject({ release: "1", outcome: "allow" })
    await write("2", rebuilt)
    clock.advance(5000)
    await until(() => guard.status().unavailable.size === 0)
    expect(served(clock, "c")).toMatchObject({ release: "2", outcome: "escalate" })
  })

  it("runs no code of a release that is not meant", async () => {
    const told: string[] = []
    const module = { "policy.mjs": `export const policy = ({ sdk }) => (sdk.push("ran"), { evaluate: () => "allow" })` }
    await write("2", { ...module, "release.yaml": 'version: "2"\npolicy: { module: policy.mjs }\nsdk: told\n' })
    const store = memoryStore()
    const first = await open(store)
    await first.guard.act(start({ canary: digestOf(filesOf("2", "deny")) }))
    await first.guard.close()
    const { guard } = await open(store, { modules: "in-process", sdks: { told: () => told } })
    expect(guard.status().unavailable.get("2")).toMatch(/and the state means/)
    expect(told).toEqual([])
  })

  it("lets no process start on other bytes under stable's version", async () => {
    const store = memoryStore()
    const first = await open(store)
    await first.guard.act(start({ stable: digestOf(filesOf("1", "deny")) }))
    await first.guard.act({ type: "promote", ...asked })
    // Who runs goes on with the stable that it has, and says so.
    expect(served(first.clock, "a")).toMatchObject({ release: "2" })
    await first.guard.act({ type: "kill", position: "stable", ...asked })
    expect(served(first.clock, "b")).toMatchObject({ release: "1", outcome: "allow" })
    expect(first.guard.status().unavailable.get("1")).toMatch(/and the state means/)
    await first.guard.close()
    await expect(open(store)).rejects.toMatchObject({ code: "RELEASE_UNTRUSTED" })
  })

  it("refuses a release of the host's own that has no digest or another, and takes the one that is meant", async () => {
    const release = (version: string, digest?: string) => ({
      version,
      digest,
      policy: { evaluate: () => "allow" as const },
    })
    const store = memoryStore()
    const meant = `sha256:${"0".repeat(64)}`
    const first = await open(store)
    await first.guard.act(start({ canary: meant }))
    await first.guard.close()
    for (const [digest, problem] of [
      [undefined, "release 2 has no digest, for it was made in code, and the state means"],
      [`sha256:${"1".repeat(64)}`, "release 2 is sha256:1111"],
      [meant, undefined],
    ] as const) {
      const releases = new Map([
        ["1", release("1")],
        ["2", release("2", digest)],
      ])
      const { guard } = await open(store, { releases })
      const told = guard.status().unavailable.get("2")
      if (problem === undefined) expect(told).toBeUndefined()
      else expect(told).toContain(problem)
      await guard.close()
    }
  })

  it("is obeyed at once where it kills, whatever releases it means and whatever its clock says", async () => {
    const store = memoryStore()
    const { guard, clock } = await open(store)
    await guard.act(start())
    const newest = guard.status().state
    const last = { ...newest.last, at: Date.UTC(2200, 0, 1) }
    const digests = { stable: `sha256:${"0".repeat(64)}`, canary: `sha256:${"1".repeat(64)}` }
    const killed = { ...newest, revision: newest.revision + 1, kill: "deny", digests, last } as const
    await store.compareAndSet("pinned/state", newest.revision, serializeState(killed))
    await clock.settle()
    expect(guard.session("a").evaluate({ action: "x" })).toMatchObject({ outcome: "deny" })
    expect([...guard.status().unavailable.keys()]).toEqual(["2", "1"].toSorted())
  })
})
