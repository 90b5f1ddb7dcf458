import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { embed } from "../../src/embed.js"
import type { Embedded } from "../../src/embed.js"
import { rulesEngine } from "../../src/engines/rules.js"
import { SerinError } from "../../src/errors.js"
import type { Call } from "../../src/model/call.js"
import type { Decision } from "../../src/model/decision.js"
import { releaseDirectory } from "../../src/release/load.js"
import type { Evaluation, Release, ReleaseSource } from "../../src/release/ports.js"
import { parseSpec } from "../../src/rollout/spec.js"
import type { RolloutEvent } from "../../src/rollout/transition.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"

type AsyncRelease = Release<Call, Evaluation | Promise<Evaluation>>
type Source = ReleaseSource<Call, Evaluation | Promise<Evaluation>>

const yaml = (canary: string, stable = "1") => `
rollout: swap
stable: "${stable}"
canary:
  release: "${canary}"
  stages: [50, 100]
  observation_period: "1h"
  acceptance_criteria: { error_rate_delta_max: 0.01 }
`
const asked = { actor: { kind: "human", id: "ada" }, reason: "a test" } as const
const start = (canary: string): RolloutEvent => ({
  type: "start",
  spec: parseSpec(yaml(canary), { path: "r.yaml" }),
  salt: `salt-${canary}`,
  ...asked,
})

let root = ""
let guard: Embedded<Call, "async"> | undefined
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "serin-swap-"))
  await writeFile(join(root, "rollout.yaml"), yaml("2"))
})
afterEach(() => guard?.close())
afterAll(() => rm(root, { recursive: true, force: true }))

async function open(releases: Source, more: object = {}) {
  const clock = fakeClock()
  const options = { rollout: join(root, "rollout.yaml"), releases, store: memoryStore(), clock, start: true }
  guard = await embed({ ...options, async: true, timeoutMs: 60_000, ...more })
  await expose(clock)
  return { guard, clock }
}

/** Serve new sessions by the canary: those that begin once every process knows of it. */
async function expose(clock: ReturnType<typeof fakeClock>): Promise<void> {
  await guard!.act({ type: "promote", ...asked })
  clock.advance(20_000)
}

/** Whoever waits for it goes on when it is opened. */
function door() {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { opened, open: () => open() }
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Releases whose every part says which one it is, and which notice when they are asked after their end. */
function workshop() {
  const calls = { after: 0 }
  const ended = new Set<Release>()
  const dropped: string[] = []
  const doors = new Map<string, ReturnType<typeof door>>()
  const failures = new Map<string, Error>()
  const latest = new Map<string, WeakRef<AsyncRelease>>()
  let slow: ReturnType<typeof door> | null = null

  const source: Source = {
    async get(version) {
      await doors.get(version)?.opened
      const failure = failures.get(version)
      if (failure !== undefined) throw failure
      const release: AsyncRelease = {
        version,
        config: { version },
        sdk: { version },
        policy: {
          async evaluate() {
            await (slow?.opened ?? Promise.resolve())
            if (ended.has(release as Release)) calls.after += 1
            return { outcome: "allow", rule: version }
          },
        },
      }
      latest.set(version, new WeakRef(release))
      return release
    },
    drop(version) {
      dropped.push(version)
      const release = latest.get(version)?.deref()
      if (release !== undefined) ended.add(release as Release)
    },
  }
  const wait = () => (slow = door())
  return { source, calls, dropped, doors, failures, latest, wait, go: () => (slow?.open(), (slow = null)), ended }
}

/** What a session sees of one release, all at once. */
async function ask(id: string): Promise<Decision> {
  const session = guard!.session(id)
  const seen = [session.config, session.sdk].map((part) => (part as { version: string }).version)
  const decision = await session.evaluate({ action: "x" })
  expect(seen).toEqual([decision.rule, decision.rule])
  return decision
}

describe("a canary that is swapped", () => {
  it("under load fails no decision and mixes none: what began on a release ends on it, and then it is given back", async () => {
    const { source, calls, dropped, doors, wait, go } = workshop()
    const { guard, clock } = await open(source)
    const before = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(`before-${i}`)))
    expect(new Set(before.map(({ release }) => release))).toEqual(new Set(["1", "2"]))

    wait()
    const under = Array.from({ length: 200 }, (_, i) => ask(`under-${i}`))
    doors.set("3", door())
    await guard.act({ type: "rollback", ...asked })
    await guard.act(start("3"))
    await expose(clock)
    await turns(5)
    expect(guard.status().unavailable.get("3")).toBe("it is being loaded")
    go()
    // While it is being loaded, nobody is served by any canary.
    const meanwhile = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(`meanwhile-${i}`)))
    expect(new Set(meanwhile.map(({ release }) => release))).toEqual(new Set(["1"]))
    const ended = await Promise.all(under)

    doors.get("3")?.open()
    await turns(5)
    expect(guard.status().unavailable.size).toBe(0)
    const after = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(`after-${i}`)))
    expect(new Set(after.map(({ release }) => release))).toEqual(new Set(["1", "3"]))

    for (const decision of [...before, ...ended, ...after]) {
      expect(decision).toMatchObject({ source: "policy", outcome: "allow", rule: decision.release })
    }
    expect(new Set(ended.map(({ release }) => release))).toEqual(new Set(["1", "2"]))
    clock.advance(5000)
    await turns(5)
    expect(dropped).toEqual(["2"])
    expect(calls.after).toBe(0)
  })

  it("is given back only when the last call that began on it has its answer", async () => {
    const { source, dropped, wait, go, calls } = workshop()
    const { guard, clock } = await open(source)
    wait()
    const under = Array.from({ length: 20 }, (_, i) => guard.session(`s-${i}`).evaluate({ action: "x" }))
    await guard.act({ type: "rollback", ...asked })
    await guard.act(start("3"))
    await turns(3)
    for (let i = 0; i < 3; i++) {
      clock.advance(5000)
      await turns(3)
    }
    expect(dropped).toEqual([])
    expect([...guard.inUse()].sort()).toEqual(["1", "2", "3"])
    go()
    expect(new Set((await Promise.all(under)).map(({ release }) => release))).toEqual(new Set(["1", "2"]))
    clock.advance(5000)
    await turns(3)
    expect(dropped).toEqual(["2"])
    expect(calls.after).toBe(0)
  })

  it("and cannot be loaded leaves stable serving, with the reason in the status, and is tried again", async () => {
    const { source, failures } = workshop()
    failures.set("3", new SerinError("RELEASE_INVALID", "it does not compile"))
    const { guard, clock } = await open(source)
    await guard.act({ type: "rollback", ...asked })
    await guard.act(start("3"))
    await expose(clock)
    await turns(3)
    expect(guard.status().unavailable.get("3")).toBe("it does not compile")
    const served = await Promise.all(
      Array.from({ length: 50 }, (_, i) => guard.session(`a-${i}`).evaluate({ action: "x" })),
    )
    expect(served.every(({ release, outcome }) => release === "1" && outcome === "allow")).toBe(true)
    failures.clear()
    clock.advance(5000)
    await turns(3)
    expect(guard.status().unavailable.size).toBe(0)
    const again = await Promise.all(
      Array.from({ length: 50 }, (_, i) => guard.session(`b-${i}`).evaluate({ action: "x" })),
    )
    expect(new Set(again.map(({ release }) => release))).toEqual(new Set(["1", "3"]))
  })

  it("while it is still being loaded is given back when it comes at last", async () => {
    const { source, dropped, doors } = workshop()
    const { guard, clock } = await open(source)
    doors.set("3", door())
    await guard.act({ type: "rollback", ...asked })
    await guard.act(start("3"))
    await guard.act({ type: "rollback", ...asked })
    await guard.act(start("4"))
    await turns(3)
    clock.advance(5000)
    await turns(3)
    expect(dropped).toEqual(["2"])
    doors.get("3")?.open()
    await turns(3)
    expect(dropped).toEqual(["2", "3"])
    expect([...guard.inUse()].sort()).toEqual(["1", "4"])
  })

  it("is forgotten: nothing holds on to a release that was given back, also not a session that sleeps", async () => {
    const { source, dropped, latest, ended } = workshop()
    const { guard, clock } = await open(source)
    await Promise.all(Array.from({ length: 50 }, (_, i) => guard.session(`s-${i}`).evaluate({ action: "x" })))
    await guard.idle()
    await guard.act({ type: "rollback", ...asked })
    await guard.act(start("3"))
    await turns(3)
    clock.advance(5000)
    await turns(3)
    expect(dropped).toEqual(["2"])
    ended.clear()
    setFlagsFromString("--expose-gc")
    const collect = runInNewContext("gc") as () => void
    for (let i = 0; i < 10 && latest.get("2")?.deref() !== undefined; i++) {
      await turns(2)
      collect()
    }
    expect(latest.get("2")?.deref()).toBeUndefined()
    expect(latest.get("1")?.deref()).toBeDefined()
  })
})

describe("a release of files that brings code", () => {
  it("is warmed up before it serves, and closed once it is superseded", async () => {
    const told: string[] = []
    const source = `export const policy = ({ version, sdk }) => ({
      warm: () => sdk.push("warm " + version),
      close: () => sdk.push("close " + version),
      evaluate: () => { sdk.push("call " + version); return "allow" },
    })`
    for (const version of ["1", "2", "3"]) {
      await mkdir(join(root, version))
      await writeFile(join(root, version, "policy.mjs"), source)
      const manifest = `version: "${version}"\npolicy: { module: policy.mjs }\nsdk: told\n`
      await writeFile(join(root, version, "release.yaml"), manifest)
    }
    const options = { modules: "in-process", moduleTimeoutMs: 20_000, sdks: { told: () => told } } as const
    const releases = releaseDirectory(root, { engines: [rulesEngine()], ...options })
    const { guard, clock } = await open(releases, { shadow: { queue: 1 } })
    expect(told.splice(0).sort()).toEqual(["warm 1", "warm 2"])
    await guard.act({ type: "rollback", ...asked })
    await guard.act(start("3"))
    while (guard.status().unavailable.size > 0) await turns(5)
    clock.advance(5000)
    await turns(5)
    expect(told.sort()).toEqual(["close 2", "warm 3"])
    expect(guard.status().modules).toEqual({ loaded: 3, max: 100 })
  })

  it("is not let in by default, nor beside a source that has options of its own, nor in workers where nobody waits", async () => {
    const rollout = join(root, "rollout.yaml")
    await expect(embed({ rollout, releases: new Map(), modules: "in-process" })).rejects.toThrow(
      "modules is for releases that are named by a path",
    )
    await expect(embed({ rollout, releases: root, modules: "isolated" })).rejects.toThrow("needs async: true")
    const store = memoryStore()
    await expect(embed({ rollout, releases: root, store })).rejects.toMatchObject({ code: "RELEASE_UNTRUSTED" })
  })
})
