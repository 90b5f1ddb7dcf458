import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { createFollower } from "../../src/controller/follower.js"
import { stateKey } from "../../src/controller/keys.js"
import { serializeState } from "../../src/rollout/state.js"
import { etcdStore, type EtcdStore, type EtcdStoreOptions } from "../../src/stores/etcd.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { parsePage } from "../docs/markdown.js"
import { readPage } from "../docs/pages.js"
import { stateWith, T0 } from "../guard/harness.js"
import { certificate } from "../release/https-server.js"
import { post, startEtcd } from "../servers/etcd.js"
import { startProxy } from "../servers/proxy.js"
import { hasServer, skipNote, type TestServer } from "../servers/server.js"

skipNote("etcd", 9)

const encode = (text: string): string => Buffer.from(text).toString("base64")
const at = (port: number): string => `http://127.0.0.1:${port}`

describe.skipIf(!hasServer("etcd"))("etcdStore on a server", () => {
  let server: TestServer
  const opened: EtcdStore[] = []
  let prefixes = 0

  beforeAll(async () => void (server = await startEtcd()))
  afterAll(async () => {
    await Promise.all(opened.map((store) => store.close()))
    await server.destroy()
  })

  function open(options: Partial<EtcdStoreOptions> = {}) {
    const prefix = `test-${prefixes++}/`
    const store = etcdStore({ endpoints: [at(server.port)], prefix, ...options })
    opened.push(store)
    return { store, prefix }
  }

  async function keysBelow(prefix: string): Promise<readonly string[]> {
    const range = { key: encode(prefix), range_end: encode(`${prefix.slice(0, -1)}0`), keys_only: true }
    const { kvs = [] } = (await post(server.port, "/v3/kv/range", range)) as {
      readonly kvs?: { readonly key: string }[]
    }
    return kvs.map(({ key }) => Buffer.from(key, "base64").toString().slice(prefix.length))
  }

  it("keeps documents and their history apart, and as much of it as is asked for", async () => {
    const { store, prefix } = open({ keep: 2 })
    for (let revision = 0; revision < 4; revision++) await store.compareAndSet("r/state", revision, "x")
    await store.compareAndSet("r/state/below", 0, "x")
    expect(await keysBelow(prefix)).toEqual([
      "documents/r/state",
      "documents/r/state/below",
      "history/r/state/below@0000000000000001",
      "history/r/state@0000000000000003",
      "history/r/state@0000000000000004",
    ])
    await store.remove("r/state")
    expect(await keysBelow(prefix)).toEqual(["documents/r/state/below", "history/r/state/below@0000000000000001"])
  })

  it("takes the largest document that it says it takes, and pages through a long history", async () => {
    const { store } = open()
    const large = "ü".repeat(store.caps.maxBytes / 2)
    expect(await store.compareAndSet("r/large", 0, large)).toEqual({ ok: true })
    expect((await store.get("r/large"))?.envelope).toBe(large)
    for (let revision = 0; revision < 45; revision++) await store.compareAndSet("r/state", revision, `r${revision + 1}`)
    const found: string[] = []
    for await (const { envelope } of store.history("r/state")) found.push(envelope)
    expect(found).toEqual(Array.from({ length: 45 }, (_, i) => `r${45 - i}`))
  })

  it("leaves a member that is down or silent for the next, for reads and for writes", async () => {
    const silent = await startProxy(server.port)
    silent.stall("all")
    const { store } = open({ endpoints: ["http://127.0.0.1:1", at(silent.port), at(server.port)] })
    expect(await store.get("r/state")).toBe(null)
    expect(await store.compareAndSet("r/state", 0, "one")).toEqual({ ok: true })
    const { store: fresh } = open({ endpoints: ["http://127.0.0.1:1", at(server.port)] })
    expect(await fresh.compareAndSet("r/state", 0, "one")).toEqual({ ok: true })
    await silent.close()
  })

  it("says what is not etcd", async () => {
    const other = createServer((_, response) => response.writeHead(404).end("<html>"))
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve))
    const address = other.address()
    const { store } = open({ endpoints: [at(typeof address === "object" ? (address?.port ?? 0) : 0)] })
    await expect(store.get("r/state")).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringContaining("HTTP 404: <html>; is this the address of etcd, version 3.4 or newer?"),
    })
    await store.close()
    other.close()
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

  it("brings what was written with the hint, and nothing with one of a removal", async () => {
    const { store } = open()
    const stop = new AbortController()
    const brought: unknown[] = []
    let told = (): void => {}
    store.watch("r/state", (found) => void (brought.push(found), told()), { signal: stop.signal })
    const hintAfter = async (change: () => Promise<unknown>): Promise<unknown> => {
      const hinted = new Promise<void>((resolve) => (told = resolve))
      await change()
      await hinted
      return brought.at(-1)
    }
    await hintAfter(async () => {})
    expect(brought).toEqual([undefined])
    for (const revision of [0, 1]) {
      const found = await hintAfter(() => store.compareAndSet("r/state", revision, `"état" ${revision}`))
      expect(found).toEqual(await store.get("r/state"))
    }
    expect(await hintAfter(() => store.remove("r/state"))).toBeUndefined()
    stop.abort()
    await store.close()
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

  it("needs no more rights than the page lists for each role, and renews a token that the server forgot", async () => {
    const secured = await startEtcd()
    try {
      await grantRoles(secured.port)
      const endpoints = [at(secured.port)]
      const as = (name: string) => open({ endpoints, prefix: "serin/", user: { name, password: "secret" } }).store
      const [follower, agent, controller] = [as("follower"), as("agent"), as("controller")]
      const [key, evidence] = ["refund-agent/state", "refund-agent/evidence/host-1"]
      const stop = new AbortController()
      const seen = new Promise<void>((resolve) => {
        follower.watch(key, () => void follower.get(key).then((now) => now?.revision === 2 && resolve()), {
          signal: stop.signal,
        })
      })
      for (const revision of [0, 1]) expect(await controller.compareAndSet(key, revision, "x")).toEqual({ ok: true })
      await seen
      stop.abort()
      expect(await agent.compareAndSet(evidence, 0, "x")).toEqual({ ok: true })
      expect(await controller.list("refund-agent/evidence")).toEqual([evidence])
      for (const store of [follower, agent]) {
        await expect(store.compareAndSet(key, 2, "y")).rejects.toMatchObject({ code: "STORE_UNAUTHORIZED" })
      }
      await expect(open({ endpoints, prefix: "serin/" }).store.get(key)).rejects.toMatchObject({
        code: "STORE_UNAUTHORIZED",
      })
      const wrong = { name: "agent", password: "wrong" }
      await expect(open({ endpoints, user: wrong }).store.get(key)).rejects.toMatchObject({
        code: "STORE_UNAUTHORIZED",
      })
      await secured.kill()
      await secured.start()
      expect(await controller.compareAndSet(key, 2, "z")).toEqual({ ok: true })
      expect(await follower.get(key)).toMatchObject({ revision: 3 })
    } finally {
      await secured.destroy()
    }
  })

  const identity = certificate()
  it.skipIf(identity === null)("speaks TLS, and only to whom it trusts", async () => {
    if (identity === null) return
    const dir = mkdtempSync(join(tmpdir(), "serin-etcd-"))
    const files = { cert: join(dir, "cert.pem"), key: join(dir, "key.pem") }
    writeFileSync(files.cert, identity.cert)
    writeFileSync(files.key, identity.key)
    const secured = await startEtcd({ tls: files })
    try {
      const endpoints = [`https://localhost:${secured.port}`]
      const { store } = open({ endpoints, tls: { ca: identity.cert } })
      expect(await store.compareAndSet("r/state", 0, "one")).toEqual({ ok: true })
      expect(await store.get("r/state")).toMatchObject({ envelope: "one" })
      const { store: wary } = open({ endpoints })
      await expect(wary.get("r/state")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
      await expect(wary.compareAndSet("r/state", 1, "two")).rejects.toThrow(/certificate/)
    } finally {
      await secured.destroy()
      rmSync(dir, { recursive: true })
    }
  })

  it.each([
    [{ endpoints: [] }, "one or more"],
    [{ endpoints: ["localhost:2379"] }, 'got "localhost:2379"'],
    [{ endpoints: ["http://localhost:2379/v3"] }, "without a path"],
    [{ endpoints: ["http://x"], keep: 1 }, "keep must"],
    [{ endpoints: ["http://x"], timeoutMs: -1 }, "timeoutMs must"],
    [{ endpoints: ["http://x"], url: "" }, "etcdStore has no option url"],
  ])("%o is the programmer's error", (options, message) => {
    expect(() => etcdStore(options)).toThrow(message)
  })
})

/** Run the page's own lines, with a user of each role's name, and turn authentication on. */
async function grantRoles(port: number): Promise<void> {
  const lines = parsePage(readPage("reference/stores/etcd.md")).blocks.flatMap(({ code }) => code.split("\n"))
  const grants = lines.filter((line) => line.startsWith("etcdctl role grant-permission"))
  const roles = [...new Set(grants.map((line) => line.split(" ")[3] ?? ""))]
  expect(roles).toEqual(["follower", "agent", "controller"])
  for (const role of roles) await post(port, "/v3/auth/role/add", { name: role })
  for (const line of grants) {
    const [, , , name = "", type = "", key = "", prefix] = line.split(" ")
    expect(prefix).toBe("--prefix")
    const perm = { permType: type.toUpperCase(), key: encode(key), range_end: encode(`${key.slice(0, -1)}0`) }
    await post(port, "/v3/auth/role/grant", { name, perm })
  }
  for (const name of ["root", ...roles]) {
    await post(port, "/v3/auth/user/add", { name, password: "secret" })
    if (name === "root") await post(port, "/v3/auth/role/add", { name })
    await post(port, "/v3/auth/user/grant", { user: name, role: name })
  }
  await post(port, "/v3/auth/enable", {})
}
