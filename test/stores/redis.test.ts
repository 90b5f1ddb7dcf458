import { inspect } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { createFollower } from "../../src/controller/follower.js"
import { stateKey } from "../../src/controller/keys.js"
import { serializeState } from "../../src/rollout/state.js"
import { redisStore, type RedisStore, type RedisStoreOptions } from "../../src/stores/redis.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { drain } from "../../src/testing/outcome.js"
import { readPage } from "../docs/pages.js"
import { parsePage } from "../docs/markdown.js"
import { stateWith, T0 } from "../guard/harness.js"
import { startProxy } from "../servers/proxy.js"
import { ask, startRedis, startRedisCluster } from "../servers/redis.js"
import { hasServer, skipNote, type TestServer } from "../servers/server.js"

skipNote("redis-server", 14)

describe.skipIf(!hasServer("redis-server"))("redisStore on a server", () => {
  let server: TestServer
  const opened: RedisStore[] = []
  let prefixes = 0

  beforeAll(async () => void (server = await startRedis()))
  afterAll(async () => {
    await Promise.all(opened.map((store) => store.close()))
    await server.destroy()
  })

  function open(options: Partial<RedisStoreOptions> & { readonly port?: number } = {}) {
    const { port = server.port, prefix = `test-${prefixes++}:`, ...others } = options
    const store = redisStore({ url: `redis://127.0.0.1:${port}`, prefix, ...others })
    opened.push(store)
    return { store, prefix }
  }

  it("keeps a rollout's documents in one slot, as streams that are no longer than is kept", async () => {
    const { store, prefix } = open({ keep: 3 })
    for (let revision = 0; revision < 5; revision++) await store.compareAndSet("r/state", revision, "x")
    await store.compareAndSet("r/evidence/host-1", 0, "x")
    const names = (await ask(server.port, `KEYS ${prefix}*`)).split("\r\n").filter((line) => line.startsWith(prefix))
    expect(names.toSorted()).toEqual([`${prefix}{r}/evidence/host-1`, `${prefix}{r}/state`, `${prefix}{r}@keys`])
    expect(await ask(server.port, `XLEN ${prefix}{r}/state`)).toBe(":3\r\n")
  })

  it("says what to type where an entry was written by hand whose number no other can follow, and goes on then", async () => {
    const { store, prefix } = open()
    const stream = `${prefix}{r}/state`
    await store.compareAndSet("r/state", 0, "one")
    for (const id of ["9007199254740991-0", "18446744073709551615-0"]) {
      await ask(server.port, `XADD ${stream} ${id} envelope garbage`)
      const refused = { code: "STORE_UNAVAILABLE", message: expect.stringMatching(/take it out with XDEL, and XSETID/) }
      await expect(store.get("r/state")).rejects.toMatchObject(refused)
      await expect(store.compareAndSet("r/state", 1, "two")).rejects.toMatchObject(refused)
      await ask(server.port, `XDEL ${stream} ${id}`)
      expect((await store.get("r/state"))?.revision).toBe(1)
      await expect(store.compareAndSet("r/state", 1, "two")).rejects.toMatchObject(refused)
      await ask(server.port, `XSETID ${stream} 1-0`)
    }
    expect(await store.compareAndSet("r/state", 1, "two")).toEqual({ ok: true })
  })

  it("has a write refused that was held up on its way, also where a reset does not reach", async () => {
    const proxy = await startProxy(server.port, { keeps: true, resetMs: 0 })
    const { store: direct, prefix } = open()
    await direct.compareAndSet("r/state", 0, "one")
    const { store } = open({ port: proxy.port, prefix, timeoutMs: 1000 })
    proxy.stallOn("ghost")
    await expect(store.compareAndSet("r/state", 1, "ghost")).rejects.toMatchObject({ code: "STORE_AMBIGUOUS" })
    const changed = new Promise<string>((resolve) => {
      direct.watch(
        "r/state",
        () => void direct.get("r/state").then((now) => now?.revision === 2 && resolve(now.envelope)),
        {
          signal: AbortSignal.timeout(2000),
        },
      )
    })
    const delivered = proxy.delivered("ghost")
    await proxy.heal()
    await delivered
    await open({ prefix }).store.get("r/state")
    expect(await direct.compareAndSet("r/state", 1, "two")).toEqual({ ok: true })
    expect(await changed).toBe("two")
    await proxy.close()
  })

  it("with `wait` says that a write may be lost which no replica has", async () => {
    const { store } = open({ wait: { replicas: 1, timeoutMs: 100 } })
    expect(store.caps.ack).toBe("replicated")
    await expect(store.compareAndSet("r/state", 0, "one")).rejects.toMatchObject({
      code: "STORE_AMBIGUOUS",
      message: expect.stringContaining("fewer than 1 replicas"),
    })
    expect(await store.get("r/state")).toMatchObject({ revision: 1 })
  })

  it("with `wait` is done when a replica has it; a replica takes no write", async () => {
    const replica = await startRedis("--replicaof", "127.0.0.1", String(server.port))
    try {
      const { store, prefix } = open({ wait: { replicas: 1, timeoutMs: 1500 } })
      const write = async (): Promise<unknown> => {
        const revision = (await store.get("r/state"))?.revision ?? 0
        return store.compareAndSet("r/state", revision, "x").catch(() => null)
      }
      // It first has to join.
      await expect.poll(write, { timeout: 20_000, interval: 10 }).toEqual({ ok: true })
      const { store: onReplica } = open({ port: replica.port, prefix })
      const newest = await onReplica.get("r/state")
      expect(newest).toEqual(await store.get("r/state"))
      await expect(onReplica.compareAndSet("r/state", newest?.revision ?? 0, "y")).rejects.toMatchObject({
        code: "STORE_UNAVAILABLE",
        message: expect.stringContaining("this is a replica"),
      })
    } finally {
      await replica.destroy()
    }
  })

  it("needs no more rights than the page lists for each user", async () => {
    const lines = parsePage(readPage("reference/stores/redis.md")).blocks.flatMap(({ code }) => code.split("\n"))
    const users = lines.filter((line) => line.startsWith("ACL SETUSER"))
    expect(users).toHaveLength(3)
    for (const line of users) expect(await ask(server.port, line)).toBe("+OK\r\n")
    const as = (user: string) =>
      open({ url: `redis://${user}:secret@127.0.0.1:${server.port}`, prefix: "serin:" }).store
    const [follower, agent, controller] = [as("follower"), as("agent"), as("controller")]
    const stop = new AbortController()
    const key = "r/state"
    const seen = new Promise<void>((resolve) => {
      follower.watch(key, () => void follower.get(key).then((now) => now?.revision === 2 && resolve()), {
        signal: stop.signal,
      })
    })
    for (const revision of [0, 1]) expect(await controller.compareAndSet(key, revision, "x")).toEqual({ ok: true })
    await seen
    stop.abort()
    expect(await agent.get(key)).toMatchObject({ revision: 2 })
    expect(await agent.compareAndSet("r/evidence/host-1", 0, "x")).toEqual({ ok: true })
    expect(await controller.list("r/evidence")).toEqual(["r/evidence/host-1"])
    for (const store of [follower, agent]) {
      await expect(store.compareAndSet(key, 2, "y")).rejects.toMatchObject({ code: "STORE_UNAUTHORIZED" })
    }
    await controller.remove("r/evidence/host-1")
    expect((await controller.get(key))?.revision).toBe(2)
  })

  it("says who is not let in, and what does not answer", async () => {
    const url = `redis://nobody:secret-word@127.0.0.1:${server.port}`
    const told: unknown = await open({ url })
      .store.get("r/state")
      .catch((error: unknown) => error)
    expect(told).toMatchObject({ code: "STORE_UNAUTHORIZED", message: expect.stringContaining("WRONGPASS") })
    expect(inspect(told, { depth: 9 })).not.toContain("secret-word")
    await expect(open({ port: 1 }).store.get("r/state")).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringContaining("127.0.0.1:1: connect ECONNREFUSED"),
    })
  })

  it("does not read what it did not write", async () => {
    const { store, prefix } = open()
    await ask(server.port, `SET ${prefix}{r}/state x`)
    await expect(store.get("r/state")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
    await expect(store.compareAndSet("r/state", 0, "y")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
    await ask(server.port, `XADD ${prefix}{r}/other 7-3 envelope x`)
    await expect(store.get("r/other")).rejects.toThrow("entry 7-3 was not written by this store")
  })

  it("keeps no process alive, and fails at once when it is closed", async () => {
    const { store } = open()
    const stop = new AbortController()
    const hinted = new Promise<unknown>((resolve) => store.watch("r/state", resolve, { signal: stop.signal }))
    await store.compareAndSet("r/state", 0, "x")
    await hinted
    expect(process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap")).toEqual([])
    await store.close()
    await store.close()
    await expect(store.get("r/state")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
    await expect(store.compareAndSet("r/state", 1, "y")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
    stop.abort()
  })

  it("that went back moves no process that follows", async () => {
    const { store } = open()
    const state = (revision: number) =>
      serializeState(stateWith({ revision, ramp: [{ at: T0, weightBp: 0, stage: 0 }] }))
    await store.compareAndSet(stateKey("demo"), 0, state(1))
    await server.save()
    await store.compareAndSet(stateKey("demo"), 1, state(2))
    const follower = await createFollower({ store, rollout: "demo", clock: fakeClock() })
    expect(follower.current()?.revision).toBe(2)
    await server.rollBack()
    await follower.poll()
    expect(follower.current()?.revision).toBe(2)
    expect(follower.status().problem?.code).toBe("rejected_older_revision")
    follower.close()
  })

  it.each([
    [{}, "redisStore needs url"],
    [{ url: "localhost:6379" }, "url must be"],
    [{ url: "redis://localhost?enableOfflineQueue=true" }, "options go into connection"],
    [{ url: "redis://x", prefix: "{a}" }, "prefix must"],
    [{ url: "redis://x", keep: 1 }, "keep must"],
    [{ url: "redis://x", timeoutMs: 0 }, "timeoutMs must"],
    [{ url: "redis://x", wait: { replicas: 0, timeoutMs: 1 } }, "wait.replicas must"],
    [{ url: "redis://x", wait: { replicas: 1, timeoutMs: 2000 } }, "wait.timeoutMs must"],
    [{ url: "redis://x", client: {} }, "redisStore has no option client"],
  ])("%o is the programmer's error", (options, message) => {
    expect(() => redisStore(options)).toThrow(message)
  })
})

describe.skipIf(!hasServer("redis-server"))("redisStore on a server of a cluster", () => {
  const ends: (() => unknown)[] = []
  afterAll(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  async function open(slots: string): Promise<RedisStore> {
    const server = await startRedisCluster(slots)
    ends.push(() => server.destroy())
    const store = redisStore({ url: `redis://127.0.0.1:${server.port}` })
    ends.push(() => store.close())
    return store
  }

  it("does all that it does elsewhere where the server has the rollout's slot: a rollout is in one", async () => {
    const store = await open("0 16383")
    const stop = new AbortController()
    let heard = (): void => {}
    const hint = () => new Promise<void>((resolve) => (heard = resolve))
    const listens = hint()
    store.watch("r/state", () => heard(), { signal: stop.signal })
    await listens
    const told = hint()
    expect(await store.compareAndSet("r/state", 0, "one")).toEqual({ ok: true })
    expect(await store.compareAndSet("r/state", 1, "two")).toEqual({ ok: true })
    expect(await store.compareAndSet("r/evidence/p", 0, "x")).toEqual({ ok: true })
    await told
    stop.abort()
    expect(await store.list("r")).toEqual(["r/evidence/p", "r/state"])
    await store.remove("r/evidence/p")
    expect((await drain(store.history("r/state"))).map(({ envelope }) => envelope)).toEqual(["two", "one"])
  })

  it("says that another server has the slot, and writes nothing", async () => {
    // That of "r" is 7893.
    const store = await open("8192 16383")
    const refused = { code: "STORE_UNAVAILABLE", message: expect.stringContaining("has not the rollout's slot") }
    await expect(store.get("r/state")).rejects.toMatchObject(refused)
    await expect(store.compareAndSet("r/state", 0, "one")).rejects.toMatchObject(refused)
  })
})
