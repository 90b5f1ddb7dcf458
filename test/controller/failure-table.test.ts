import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { leaderKey, stateKey } from "../../src/controller/keys.js"
import { SerinError } from "../../src/errors.js"
import { serializeState } from "../../src/rollout/state.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { spec, T0 } from "../guard/harness.js"
import { trustedStore } from "../../src/stores/trusted.js"
import { keyPair, sealed, trusting } from "../signing/keys.js"
import { createFleet, release } from "./fleet.js"

let fleet: ReturnType<typeof createFleet>
let dir = ""
let file = ""

beforeEach(async () => {
  fleet = createFleet()
  dir = await mkdtemp(join(tmpdir(), "serin-fleet-"))
  file = join(dir, "kept", "demo.json")
})
afterEach(async () => {
  await fleet.close()
  await rm(dir, { recursive: true, force: true })
})

/** A process with a live canary. */
async function live() {
  await fleet.begin()
  fleet.lead(true)
  const process = await fleet.process({ lastKnownGood: file })
  await fleet.pass(3000)
  expect(process.canary()).toBe(true)
  return process
}

/** What a process that lived before has kept. */
async function keep(): Promise<void> {
  const before = await fleet.process({ lastKnownGood: file })
  await before.guard.close()
  expect(JSON.parse(await readFile(file, "utf8"))).toEqual(await fleet.state())
}

describe("the failure table: store down at start, no last known good", () => {
  it.each(["down", "stalled"] as const)(
    "serves bootstrap within 2 s, no canary, and says store_unreachable (%s)",
    async (how) => {
      await fleet.begin()
      fleet.lead(true)
      fleet.turn(how)
      const begunAt = fleet.clock.monotonic()
      const process = await fleet.process({ lastKnownGood: file })
      expect(fleet.clock.monotonic() - begunAt).toBeLessThanOrEqual(2010)
      expect(process.serves()).toMatchObject({ outcome: "allow", rule: "0.9.0", release: "0.9.0", arm: "stable" })
      expect(process.canary()).toBe(false)
      expect(process.problem()).toBe("store_unreachable")
      expect(process.guard.status()).toMatchObject({ state: null, phase: null })
      expect(process.events).toContainEqual(expect.objectContaining({ type: "problem", code: "store_unreachable" }))
      fleet.turn("fine")
      await fleet.pass(5000)
      expect(process.problem()).toBeUndefined()
      expect(process.serves().rule).toBe("1.0.0")
      expect(process.canary()).toBe(true)
    },
  )
})

describe("the failure table: store down at start, last known good", () => {
  it.each(["down", "stalled"] as const)("serves its stable, no canary, and says stale (%s)", async (how) => {
    await fleet.begin()
    await keep()
    fleet.lead(true)
    fleet.turn(how)
    const process = await fleet.process({ lastKnownGood: file })
    expect(process.serves().rule).toBe("1.0.0")
    expect(process.canary()).toBe(false)
    await fleet.pass(60_000)
    expect(process.canary()).toBe(false)
    expect(process.problem()).toBe("stale")
    expect(process.guard.status().follower.confirmedAt).toBeNull()
    fleet.turn("fine")
    await fleet.pass(5000)
    expect(process.problem()).toBeUndefined()
    expect(process.canary()).toBe(true)
  })

  it.each([
    ["stable", { rule: "1.0.0" }],
    ["deny", { outcome: "deny", source: "lockdown" }],
  ] as const)("keeps a kill at %s that it heard of before", async (position, answer) => {
    await fleet.begin()
    await fleet.kill(position)
    await keep()
    fleet.turn("down")
    const process = await fleet.process({ lastKnownGood: file })
    expect(process.serves()).toMatchObject(answer)
    expect(process.guard.status().phase).toMatchObject({ phase: "killed", position })
  })

  it("takes no state from the store that is older than what was kept, but a kill", async () => {
    const old = await fleet.begin()
    await fleet.elsewhere({ type: "rollback", actor: { kind: "human", id: "ada" }, reason: "bad" })
    await keep()
    fleet.lead(true)
    fleet.forge(serializeState(old))
    const process = await fleet.process({ lastKnownGood: file })
    await fleet.pass(3000)
    expect(process.canary()).toBe(false)
    expect(process.guard.status()).toMatchObject({ phase: { phase: "rolled_back" } })
    expect(process.problem()).toBe("rejected_older_revision")
    expect(process.guard.status().follower.problem?.message).toContain("last known good")
    fleet.forge(serializeState({ ...old, kill: "deny" }))
    await fleet.pass(5000)
    expect(process.serves().source).toBe("lockdown")
  })
})

describe("the failure table: store down later", () => {
  it.each(["down", "stalled", "frozen"] as const)(
    "is unchanged inside the lease, then stable; and says so (%s)",
    async (how) => {
      const process = await live()
      const { guard } = process
      const id = canaryId(guard)
      fleet.turn(how)
      await fleet.pass(10_000)
      expect(guard.session(id).evaluate({ action: "x" }).rule).toBe("2.0.0")
      await fleet.pass(6000)
      expect(process.canary()).toBe(false)
      expect(guard.session(id).evaluate({ action: "x" })).toMatchObject({ rule: "1.0.0", arm: "stable" })
      expect(process.serves().rule).toBe("1.0.0")
      expect(process.leaseProblem()).toBe("canary_lease_expired")
      // Whoever gives the same answers for ever looks like a store that works, until the leader says otherwise.
      expect(process.problem()).toBe(how === "frozen" ? undefined : "store_unreachable")
      expect(process.events.filter(({ type }) => type === "problem")).toHaveLength(how === "frozen" ? 1 : 2)
      fleet.turn("fine")
      await fleet.pass(5000)
      expect(process.leaseProblem()).toBeUndefined()
      expect(process.canary()).toBe(true)
      // One that stable has served stays with it.
      expect(guard.session(id).evaluate({ action: "x" }).rule).toBe("1.0.0")
    },
  )

  it("has no end for stable: a state without a canary stays as it was", async () => {
    const { elsewhere } = fleet
    await fleet.begin()
    await elsewhere({ type: "promote", to: "end", actor: { kind: "human", id: "ada" }, reason: "good" })
    const process = await fleet.process()
    await fleet.pass(20_000)
    fleet.turn("down")
    await fleet.pass(120_000)
    expect(process.serves().rule).toBe("2.0.0")
    expect(process.leaseProblem()).toBeUndefined()
  })
})

describe("the failure table: what is stored cannot be used", () => {
  const next = (state: RolloutState): RolloutState => ({ ...state, revision: state.revision + 1 })
  it.each<[string, string, (state: RolloutState) => string]>([
    ["corrupt", "rejected_invalid", (state) => serializeState(next(state)).replace(/"/g, "\u0000")],
    ["truncated", "rejected_invalid", (state) => serializeState(next(state)).slice(0, -20)],
    ["too large", "rejected_invalid", (state) => serializeState(next(state)) + " ".repeat(2 ** 18)],
    ["of a bad schema", "rejected_invalid", (state) => JSON.stringify({ ...next(state), kill: "maybe" })],
    ["with a key too many", "rejected_invalid", (state) => JSON.stringify({ ...next(state), more: 1 })],
    ["with __proto__", "rejected_invalid", (state) => serializeState(next(state)).replace("{", '{"__proto__":{},')],
    [
      "of another rollout",
      "rejected_other_rollout",
      (state) => serializeState({ ...next(state), rollout: "other", spec: { ...spec, rollout: "other" } }),
    ],
  ])("%s: keeps current and the canary until the lease ends, and says so", async (_, code, forge) => {
    const process = await live()
    const before = process.guard.status().state
    fleet.forge(forge(await fleet.state()))
    await fleet.pass(30_000)
    expect(process.guard.status().state).toEqual(before)
    expect(process.canary()).toBe(true)
    expect(process.problem()).toBe(code)
    expect(process.events).toContainEqual(expect.objectContaining({ type: "problem", code }))
    fleet.lead(false)
    await fleet.pass(16_000)
    expect(process.canary()).toBe(false)
    fleet.forge(null)
    await fleet.kill("deny")
    await fleet.pass(5000)
    expect(process.serves().source).toBe("lockdown")
  })

  it("not trusted: keeps current, and says so", async () => {
    const process = await live()
    const { get } = fleet.store
    fleet.store.get = (key, options) =>
      key === leaderKey("demo")
        ? get(key, options)
        : Promise.reject(new SerinError("STATE_UNTRUSTED", "signed by nobody"))
    await fleet.pass(30_000)
    expect(process.canary()).toBe(true)
    expect(process.problem()).toBe("rejected_untrusted")
  })
})

describe("the failure table: older revision", () => {
  it("keeps current and the canary until the lease ends, and says rejected_older_revision", async () => {
    const process = await live()
    const old = await fleet.state()
    await fleet.elsewhere({ type: "pause", actor: { kind: "human", id: "ada" }, reason: "wait" })
    await fleet.pass(5000)
    fleet.forge(serializeState(old))
    await fleet.pass(5000)
    expect(process.guard.status().state?.holds).toMatchObject([{ reason: "paused" }])
    expect(process.canary()).toBe(true)
    expect(process.problem()).toBe("rejected_older_revision")
    fleet.lead(false)
    await fleet.pass(16_000)
    expect(process.canary()).toBe(false)
  })
})

describe("the failure table: same revision, other content", () => {
  it("keeps the first, unchanged, and raises an alarm once", async () => {
    const process = await live()
    const first = await fleet.state()
    fleet.forge(serializeState({ ...first, salt: "other" }))
    await fleet.pass(30_000)
    expect(process.guard.status().state).toEqual(first)
    expect(process.canary()).toBe(true)
    expect(process.problem()).toBe("rejected_same_revision")
    expect(process.events.filter((event) => event.type === "problem")).toMatchObject([
      { code: "rejected_same_revision" },
    ])
  })
})

describe("the failure table: canary release unknown", () => {
  it("serves stable, fetches it in the background, and says unknown_release", async () => {
    const versions = new Map(["0.9.0", "1.0.0"].map((version) => [version, release(version)]))
    await fleet.begin()
    fleet.lead(true)
    const process = await fleet.process({ releases: versions })
    await fleet.pass(3000)
    const { guard } = process
    const id = canaryId(guard)
    expect(guard.session(id).evaluate({ action: "x" })).toMatchObject({ rule: "1.0.0", source: "fallback" })
    expect(process.events).toContainEqual({ type: "unknown_release", arm: "canary", version: "2.0.0" })
    expect(guard.status().unavailable.get("2.0.0")).toContain("there is no release 2.0.0")
    versions.set("2.0.0", release("2.0.0"))
    await fleet.pass(5000)
    expect(process.canary()).toBe(true)
    expect(guard.status().unavailable.size).toBe(0)
  })
})

describe("the failure table: stable release unknown", () => {
  it("serves bootstrap where no other stable was ever loaded, no canary that is not there, and says unknown_release", async () => {
    const versions = new Map([["0.9.0", release("0.9.0")]])
    await fleet.begin()
    const process = await fleet.process({ releases: versions })
    expect(process.serves()).toMatchObject({ rule: "0.9.0", release: "0.9.0", source: "policy" })
    expect(process.events).toContainEqual({ type: "unknown_release", arm: "stable", version: "1.0.0" })
    versions.set("1.0.0", release("1.0.0"))
    await fleet.pass(5000)
    expect(process.serves().rule).toBe("1.0.0")
  })

  it("serves the last known stable where there was one", async () => {
    const process = await live()
    const state = await fleet.state()
    await fleet.put({
      ...state,
      revision: state.revision + 1,
      stable: "1.1.0",
      spec: { ...state.spec, stable: "1.1.0" },
    })
    await fleet.pass(5000)
    expect(process.serves()).toMatchObject({ rule: "1.0.0", release: "1.0.0" })
    expect(process.events).toContainEqual({ type: "unknown_release", arm: "stable", version: "1.1.0" })
  })
})

describe("the failure table: a newer kill, whatever else is wrong", () => {
  it("is applied at once: clock, bundles, beats, disk", async () => {
    const versions = new Map([["0.9.0", release("0.9.0")]])
    await writeFile(join(dir, "kept"), "a file where a folder is due")
    await fleet.begin()
    const process = await fleet.process({ releases: versions, lastKnownGood: file })
    fleet.forge("{", leaderKey("demo"))
    fleet.clock.setWall(T0 - 365 * 86_400_000)
    await fleet.pass(20_000)
    fleet.forge("not a state")
    await fleet.pass(5000)
    expect(process.problem()).toBe("rejected_invalid")
    expect(process.leaseProblem()).toBe("canary_lease_expired")
    expect(process.guard.status().unavailable.size).toBe(2)
    expect(process.guard.status().follower.lastKnownGood?.problem).toContain("demo.json is not")
    const killed = await fleet.kill("deny")
    fleet.forge(null)
    await fleet.pass(5000)
    expect(process.serves().source).toBe("lockdown")
    expect(process.guard.status().phase?.phase).toBe("killed")
    expect(process.events).toContainEqual({ type: "applied", revision: killed.revision, phase: "killed" })
  })
})

describe("the canary lease", () => {
  const id = (process: Awaited<ReturnType<typeof live>>): string => canaryId(process.guard)

  it("does not begin with what was read first: an hour-old copy starts no canary in a new process", async () => {
    await fleet.begin()
    await fleet.beat()
    const process = await fleet.process()
    await fleet.pass(60_000)
    expect(process.canary()).toBe(false)
    fleet.lead(true)
    await fleet.pass(2500)
    expect(process.canary()).toBe(true)
  })

  it("does not begin with the first beat that there is, where there was none before", async () => {
    await fleet.begin()
    const process = await fleet.process()
    await fleet.pass(2000)
    await fleet.beat()
    await fleet.pass(3000)
    expect(process.canary()).toBe(false)
    await fleet.beat()
    await fleet.pass(1250)
    expect(process.canary()).toBe(true)
  })

  it("ends within 15 s of the leader's last beat, at its very end and not at the next look", async () => {
    const process = await live()
    const { guard } = process
    const session = guard.session(id(process))
    fleet.lead(false)
    const { leftMs } = guard.status().follower.lease!
    expect(leftMs).toBeLessThanOrEqual(15_000)
    expect(leftMs).toBeGreaterThan(10_000)
    await fleet.pass(3000)
    const left = guard.status().follower.lease!.leftMs!
    expect(3000 + left).toBeLessThanOrEqual(15_000)
    let changes = 0
    guard.onChange(() => changes++)
    fleet.clock.advance(left - 1)
    expect(session.arm).toBe("canary")
    fleet.clock.advance(1)
    expect(changes).toBe(1)
    expect(session.arm).toBe("stable")
  })

  it.each(["monotonic time went on", "only wall time went on, as while a machine sleeps"])(
    "is over with the first decision after a long sleep, before any timer: %s",
    async (how) => {
      const process = await live()
      const { guard } = process
      const session = guard.session(id(process))
      const { now, monotonic } = fleet.clock
      const hour = 3_600_000
      fleet.clock.now = () => now() + hour
      if (how.startsWith("monotonic")) fleet.clock.monotonic = () => monotonic() + hour
      let changes = 0
      guard.onChange(() => changes++)
      expect(session.evaluate({ action: "x" })).toMatchObject({ rule: "1.0.0", arm: "stable" })
      expect(process.canary()).toBe(false)
      await Promise.resolve()
      expect(changes).toBe(1)
      fleet.clock.monotonic = monotonic
      await fleet.pass(5000)
      expect(process.canary()).toBe(true)
      expect(session.evaluate({ action: "x" }).rule).toBe("1.0.0")
    },
  )

  it("is not made longer by a clock that is set back", async () => {
    const process = await live()
    fleet.lead(false)
    fleet.clock.setWall(T0 - 86_400_000)
    await fleet.pass(16_000)
    expect(process.canary()).toBe(false)
  })

  it("is not made longer by beats that were held back while the leader lived, however many, and a kill that is withheld with them waits no longer", async () => {
    fleet.lead(true, 2)
    const process = await live()
    const hoard: string[] = []
    // One in ten is let through.
    for (let n = 0; n < 60; n++) {
      const text = (await fleet.inner.get(leaderKey("demo")))!.envelope
      if (n % 10 === 0) fleet.forge(text, leaderKey("demo"))
      else hoard.push(text)
      await fleet.pass(1000)
    }
    expect(process.canary()).toBe(true)
    fleet.forge((await fleet.inner.get(stateKey("demo")))!.envelope)
    await fleet.kill()
    fleet.lead(false)
    for (let n = 0; n < 3; n++) {
      fleet.forge(hoard[45 + n]!, leaderKey("demo"))
      await fleet.pass(5250)
    }
    for (let n = 0; n < 5; n++) {
      expect(process.canary()).toBe(false)
      fleet.forge(hoard[48 + n]!, leaderKey("demo"))
      await fleet.pass(5000)
    }
    expect(process.guard.status().follower.lease?.problem?.message).toMatch(/beat \d+ of epoch 2 .*came \d+ s late/)
  })

  it.each<[string, () => Promise<void>]>([
    ["stands still", async () => {}],
    ["is repeated", async () => fleet.beat({ beat: 1 })],
    ["is of a leader that was replaced", async () => fleet.beat({ epoch: 1, beat: 9999 })],
    ["is of another rollout", async () => fleet.beat({ rollout: "other", epoch: 9 })],
    [
      "is malformed",
      async () => {
        await fleet.beat()
        fleet.forge('{"format":"serin/leader/1"}', leaderKey("demo"))
      },
    ],
    ["is of a revision that this process does not have", async () => fleet.beat({ epoch: 9, revision: 9999 })],
  ])("is not made longer by a beat that %s", async (_, act) => {
    fleet.lead(true, 2)
    const process = await live()
    fleet.lead(false)
    await fleet.pass(3000)
    for (let n = 0; n < 14; n++) {
      await act()
      await fleet.pass(1000)
    }
    expect(process.canary()).toBe(false)
    expect(process.guard.status().follower.lease?.message).toBeDefined()
  })

  it("goes on with the next leader, whose beats count from anywhere in a higher epoch", async () => {
    const process = await live()
    fleet.lead(false)
    await fleet.pass(4000)
    fleet.lead(true, 2)
    await fleet.pass(60_000)
    expect(process.canary()).toBe(true)
    expect(process.guard.status().follower.lease).toMatchObject({ needed: true, beat: { epoch: 2, holder: "one" } })
  })

  it("ends where the state is frozen and beats are not: the leader has a revision that this process is not given", async () => {
    const process = await live()
    fleet.forge(serializeState(await fleet.state()))
    await fleet.kill()
    await fleet.pass(16_000)
    expect(process.canary()).toBe(false)
    expect(process.problem()).toBe("stale")
    fleet.forge(null)
    await fleet.pass(5000)
    expect(process.guard.status().phase?.phase).toBe("killed")
    expect(process.problem()).toBeUndefined()
  })

  it("has the state looked at at once where a beat is ahead of it", async () => {
    const process = await live()
    fleet.lead(false)
    await fleet.pass(2600)
    const killed = await fleet.kill()
    await fleet.beat({ revision: killed.revision })
    await fleet.pass(3000)
    expect(process.guard.status().phase?.phase).toBe("killed")
  })

  it("may be lowered here, and its looks follow", async () => {
    await fleet.begin()
    fleet.lead(true)
    const process = await fleet.process({ canaryLeaseMs: 3000 })
    await fleet.pass(30_000)
    expect(process.canary()).toBe(true)
    fleet.lead(false)
    await fleet.pass(3500)
    expect(process.canary()).toBe(false)
  })

  it("ends for sessions that are pinned to the canary as well, in shadow too", async () => {
    await fleet.begin()
    const shadow = await fleet.state()
    await fleet.put({ ...shadow, revision: shadow.revision + 1, ramp: shadow.ramp.slice(0, 1) })
    fleet.lead(true)
    const process = await fleet.process()
    await fleet.pass(3000)
    const pinned = (name: string) => process.guard.session(name, { arm: "canary" }).evaluate({ action: "x" }).rule
    expect(pinned("a")).toBe("2.0.0")
    fleet.lead(false)
    await fleet.pass(18_000)
    expect(pinned("b")).toBe("1.0.0")
    // Nobody who is compared was displaced.
    expect(process.guard.session("c").evaluate({ action: "x" }).arm).toBe("stable")
    fleet.lead(true)
    await fleet.pass(3000)
    expect(pinned("a")).toBe("2.0.0")
    expect(pinned("b")).toBe("1.0.0")
  })

  it("leaves those out of the comparison that were called meanwhile, on both arms", async () => {
    const process = await live()
    const { guard } = process
    const counted = (): number => guard.evidence().strata.reduce((sum, { cells }) => sum + total(cells), 0)
    fleet.lead(false)
    await fleet.pass(20_000)
    const before = counted()
    for (let n = 0; n < 50; n++) guard.session(`meanwhile-${n}`).evaluate({ action: "x" })
    expect(counted()).toBe(before)
    fleet.lead(true)
    await fleet.pass(3000)
    for (let n = 0; n < 50; n++) guard.session(`meanwhile-${n}`).evaluate({ action: "x" })
    expect(counted()).toBe(before)
    guard.session("after").evaluate({ action: "x" })
    expect(counted()).toBeGreaterThan(before)
  })

  it("runs out after close(), because nobody hears of a kill any more", async () => {
    const process = await live()
    const session = process.guard.session(id(process))
    await process.guard.close()
    expect(fleet.clock.pending()).toBe(0)
    await fleet.pass(16_000)
    expect(session.evaluate({ action: "x" })).toMatchObject({ outcome: "allow", rule: "1.0.0" })
  })
})

describe("the last known good", () => {
  it("is a copy of the state that this user alone may read, and leaves nothing else behind", async () => {
    await fleet.begin()
    await keep()
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await stat(join(dir, "kept"))).mode & 0o777).toBe(0o700)
    expect(await readdir(join(dir, "kept"))).toEqual(["demo.json"])
  })

  it("is not put back by a process that is behind", async () => {
    const old = await fleet.begin()
    await fleet.kill()
    await keep()
    const there = await fleet.process({ lastKnownGood: join(dir, "other", "demo.json") })
    await there.guard.close()
    await rm(file)
    // It begins before there is a file, and so without a floor.
    fleet.forge(serializeState(old))
    fleet.turn("down")
    const slow = await fleet.process({ lastKnownGood: file })
    fleet.turn("fine")
    await writeFile(file, await readFile(join(dir, "other", "demo.json"), "utf8"))
    await fleet.pass(5000)
    expect(slow.guard.status().state?.revision).toBe(old.revision)
    await slow.guard.close()
    expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ kill: "stable" })
    expect(await readdir(join(dir, "kept"))).toEqual(["demo.json"])
  })

  it.each<[string, string, string]>([
    ["truncated", '{"format":"serin/state/1"', "STATE_INVALID"],
    ["too large", " ".repeat(2 ** 19), "STATE_INVALID"],
    ["not text", "\uD800", "STATE_INVALID"],
    ["empty", "", "STATE_INVALID"],
  ])("that is %s is ignored and told, and replaced by the next good one", async (_, text, message) => {
    await fleet.begin()
    await keep()
    await writeFile(file, text)
    fleet.turn("down")
    const process = await fleet.process({ lastKnownGood: file })
    expect(process.serves().rule).toBe("0.9.0")
    expect(process.guard.status().follower.lastKnownGood?.problem).toContain(message)
    expect(process.guard.status().follower.lastKnownGood?.path).toBe(file)
    fleet.turn("fine")
    await fleet.pass(5000)
    await process.guard.close()
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual(await fleet.state())
  })

  it("is kept as it was signed where keys are trusted, and begins nothing that they did not sign", async () => {
    const [ana, mallory] = [keyPair(), keyPair()]
    const signed = await fleet.begin()
    fleet.forge(sealed(stateKey("demo"), serializeState(signed), [ana]))
    const store = trustedStore(fleet.store, { trustedKeys: trusting(ana) })
    const begun = async () => {
      const process = await fleet.process({ store, lastKnownGood: file })
      const { state, follower } = process.guard.status()
      await process.guard.close()
      return { revision: state?.revision, problem: follower.lastKnownGood?.problem }
    }
    expect(await begun()).toEqual({ revision: signed.revision })
    fleet.turn("down")
    expect(await begun()).toEqual({ revision: signed.revision })
    // The same state, and one from before there were keys: neither is what a trusted key signed.
    for (const text of [sealed(stateKey("demo"), serializeState(signed), [mallory]), serializeState(signed)]) {
      await writeFile(file, text)
      expect(await begun()).toEqual({ revision: undefined, problem: expect.stringContaining("STATE_UNTRUSTED") })
    }
    fleet.turn("fine")
    await begun()
    fleet.turn("down")
    expect(await begun()).toEqual({ revision: signed.revision })
  })

  it("of another rollout is ignored and told", async () => {
    await fleet.begin()
    await keep()
    const state = await fleet.state()
    const other = { ...state, rollout: "other", spec: { ...state.spec, rollout: "other" } }
    await writeFile(file, serializeState(other))
    fleet.turn("down")
    const process = await fleet.process({ lastKnownGood: file })
    expect(process.guard.status().state).toBeNull()
    expect(process.guard.status().follower.lastKnownGood?.problem).toContain("of other, not of demo")
  })
})

/** A session that the ramp gives to the canary. */
function canaryId(guard: { session(id: string): { readonly arm: string } }): string {
  for (let n = 0; n < 10_000; n++) if (guard.session(`drawn-${n}`).arm === "canary") return `drawn-${n}`
  throw new Error("no session on the canary")
}

const total = (cells: Float64Array): number => cells.reduce((sum, cell) => sum + cell, 0)
