import { describe, expect, it } from "vitest"
import type { ReadStore } from "../../src/rollout/store.js"
import { memoryStore } from "../../src/stores/memory.js"
import { NAME, serveDashboard, type Served } from "./served.js"

const human = { kind: "human", id: "ana" } as const

/** The chunks of an open stream, as they come. */
async function stream({ get }: Served) {
  const response = await get(`api/${NAME}/events`)
  const reader = (response.body ?? new ReadableStream()).getReader()
  const decoder = new TextDecoder()
  return {
    response,
    /** Null: it ended. */
    async next(): Promise<string | null> {
      const { done, value } = await reader.read()
      return done ? null : decoder.decode(value as Uint8Array)
    },
    async view(): Promise<Record<string, unknown>> {
      for (;;) {
        const data = /^data: (.*)$/m.exec((await this.next()) ?? "data: null")?.[1]
        if (data !== undefined) return JSON.parse(data) as Record<string, unknown>
      }
    },
    close: () => reader.cancel(),
  }
}

describe("the dashboard's events", () => {
  it("begin with where the rollout stands, and tell of each change", async () => {
    const served = await serveDashboard()
    const viewer = await stream(served)
    expect(viewer.response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8")
    expect(await viewer.view()).toMatchObject({ words: "in shadow" })
    await served.apply({ type: "kill", position: "deny", actor: human, reason: "stop" })
    expect(await viewer.view()).toMatchObject({ words: "killed: every call is denied", why: "kill by ana: stop" })
    await viewer.close()
    expect(served.clock.pending()).toBe(0)
  })

  it("cost the store as much for fifty viewers as for one", async () => {
    const store = memoryStore()
    let reads = 0
    const counting = { ...store, get: (...args: Parameters<ReadStore["get"]>) => (reads++, store.get(...args)) }
    const served = await serveDashboard({ store: counting, rollouts: [NAME] })
    for await (const { envelope } of served.store.history(`${NAME}/state`)) {
      await store.compareAndSet(`${NAME}/state`, 0, envelope.replace(/"revision":\d+/, '"revision":1'))
    }
    const viewers = await Promise.all(Array.from({ length: 50 }, () => stream(served)))
    for (const viewer of viewers) expect(await viewer.view()).toMatchObject({ rollout: NAME })
    await served.clock.settle()
    expect(reads).toBeLessThan(12)
    reads = 0
    served.clock.advance(5000)
    await served.clock.settle()
    expect(reads).toBeLessThan(12)
    await Promise.all(viewers.map((viewer) => viewer.close()))
    expect(served.clock.pending()).toBe(0)
  })

  it("say that nobody judges any more, though no document changed, and else beat", async () => {
    const served = await serveDashboard()
    await served.report({})
    const viewer = await stream(served)
    expect(await viewer.view()).toMatchObject({ judged: true })
    for (let i = 0; i < 6; i++) {
      served.clock.advance(5000)
      await served.clock.settle()
      expect(await viewer.next()).toMatch(i === 0 ? /^(retry: 1000|:)\n\n$/ : /^:\n\n$/)
    }
    served.clock.advance(5000)
    expect(await viewer.view()).toMatchObject({ judged: false, why: "no process is judging this rollout" })
    await viewer.close()
  })

  it("keep the newest for whoever reads slowly, and nothing before it", async () => {
    const served = await serveDashboard()
    const viewer = await stream(served)
    for (const type of ["pause", "resume", "pause"] as const) {
      await served.apply({ type, actor: human, reason: "now" })
      await served.clock.settle()
    }
    expect(await viewer.view()).toMatchObject({ state: { revision: 5 } })
    await viewer.close()
  })

  it("end after five minutes, with the server, and when the viewer goes", async () => {
    const server = new AbortController()
    const served = await serveDashboard({ signal: server.signal })
    const viewer = await stream(served)
    await viewer.view()
    served.clock.advance(300_000)
    for (let chunk = await viewer.next(); chunk !== null; chunk = await viewer.next());
    const another = await stream(served)
    await another.view()
    server.abort()
    for (let chunk = await another.next(); chunk !== null; chunk = await another.next());
    expect(served.clock.pending()).toBe(0)
    expect((await served.get(`api/${NAME}/status`)).status).toBe(503)
  })

  it("are refused when a thousand are open", async () => {
    const served = await serveDashboard({ client: ({ headers }) => headers.get("x-client") ?? `${Math.random()}` })
    const open = await Promise.all(Array.from({ length: 1000 }, () => served.get(`api/${NAME}/events`)))
    expect((await served.get(`api/${NAME}/events`)).status).toBe(503)
    await open[0]?.body?.cancel()
    expect((await served.get(`api/${NAME}/events`)).status).toBe(200)
  })
})

describe("the dashboard's history", () => {
  it("has every transition with who, why and what became of it, newest first", async () => {
    const served = await serveDashboard()
    await served.apply({ type: "pause", actor: human, reason: "wait <b>" })
    const read = async () =>
      ((await (await served.get(`api/${NAME}/history`)).json()) as { transitions: Record<string, unknown>[] })
        .transitions
    expect(await read()).toMatchObject([
      { revision: 3, event: "pause", actor: "ana", by: "human", reason: "wait <b>", phase: "shadow", held: ["paused"] },
      { revision: 2, event: "start", words: "in shadow" },
      { revision: 1, phase: "idle" },
    ])
    await served.apply({ type: "rollback", actor: human, reason: "enough" })
    expect((await read())[0]).toMatchObject({ revision: 4, phase: "rolled_back" })
  })

  it("is empty where the store cannot tell", async () => {
    const full = await serveDashboard()
    const { get, watch, caps } = full.store
    const { get: ask } = await serveDashboard({ store: { get, watch, caps } })
    expect(await (await ask(`api/${NAME}/history`)).json()).toEqual({ rollout: NAME, transitions: [] })
  })
})
