import { afterEach, describe, expect, it } from "vitest"
import { storeHandler, type StoreHandlerOptions } from "../../src/serve/handler.js"
import { httpStore, type HttpStore } from "../../src/stores/http.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { hintCounter } from "../../src/testing/hint-counter.js"
import { onLoopback, rawServer, relayTo } from "../serve/loopback.js"

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** A store that is served on this machine, and a follower's end of it behind a relay. Client and server share a clock that stands still. */
async function setting(wrap: (handler: ReturnType<typeof storeHandler>) => typeof handler = (same) => same) {
  const clock = fakeClock()
  const behind = memoryStore()
  const options: StoreHandlerOptions = { store: behind, clock }
  const asked: string[] = []
  const handler = wrap(storeHandler(options))
  const server = await onLoopback((request) => {
    asked.push(`${request.method} ${request.url.replace(/.*\/v1/, "")}`)
    return handler(request)
  })
  const relay = await relayTo(server.port)
  const store: HttpStore = httpStore({ url: `http://127.0.0.1:${relay.port}/v1`, clock })
  const stop = new AbortController()
  ends.push(
    () => server.close(),
    () => relay.close(),
    () => store.close(),
    () => stop.abort(),
  )
  const watch = (key = "a/state") => {
    const hints = hintCounter()
    store.watch(key, hints.hint, { signal: stop.signal })
    return hints
  }
  const write = async (text: string, key = "a/state"): Promise<void> => {
    await behind.compareAndSet(key, (await behind.get(key))?.revision ?? 0, text)
  }
  return { clock, asked, server, relay, store, stop, watch, write }
}

/** Wait for something that other sockets do, with time going on in steps; answers how much went by, ms. */
async function until(happened: () => boolean, clock: ReturnType<typeof fakeClock>, stepMs: number): Promise<number> {
  const since = clock.monotonic()
  for (let turn = 0; !happened() && turn < 4000; turn++) {
    await new Promise((resolve) => setImmediate(resolve))
    // Between two steps, time for what is on its way.
    if (turn % 40 === 39) clock.advance(stepMs)
  }
  if (!happened()) throw new Error("it did not happen")
  return clock.monotonic() - since
}

describe("a watch", () => {
  it("takes one connection for all documents of a rollout, and tells them apart", async () => {
    const { watch, write, asked } = await setting()
    const [state, leader] = [watch("a/state"), watch("a/leader")]
    expect([await state.beyond(0), await leader.beyond(0)]).toEqual([true, true])
    const before = leader.count()
    await write("one")
    expect(await state.beyond(1)).toBe(true)
    expect(leader.count()).toBe(before)
    expect(asked).toEqual(["GET /a/events?documents=state,leader"])
  })

  it("of another document, later, is served as well", async () => {
    const { watch, write, asked } = await setting()
    const state = watch("a/state")
    await state.beyond(0)
    const report = watch("a/report")
    expect(await report.beyond(0)).toBe(true)
    const before = state.count()
    await write("one")
    expect(await state.beyond(before)).toBe(true)
    expect(asked.at(-1)).toBe("GET /a/events?documents=state,report")
  })

  it("hears of a change within 8 s of a connection that falls silent without a word", async () => {
    const { clock, watch, write, relay } = await setting()
    const hints = watch()
    await hints.beyond(0)
    clock.advance(1000)
    relay.stall()
    await write("one")
    const before = hints.count()
    const took = await until(() => hints.count() > before, clock, 100)
    expect(took).toBeGreaterThan(3000)
    expect(took).toBeLessThanOrEqual(8000)
  })

  it("stays on its connection while heartbeats come, for as long as that is", async () => {
    const { clock, watch, relay } = await setting()
    await watch().beyond(0)
    for (let beat = 0; beat < 20; beat++) {
      clock.advance(2000)
      // A heartbeat has to cross four sockets.
      for (let turn = 0; turn < 25; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(relay.connections()).toBe(1)
  })

  it("hears of a change after a cut, soon", async () => {
    const { clock, watch, write, relay } = await setting()
    const hints = watch()
    await hints.beyond(0)
    relay.cut()
    await write("one")
    const before = hints.count()
    expect(await until(() => hints.count() > before, clock, 10)).toBeLessThanOrEqual(1000)
  })

  it("hears of a change after a network that was gone for a minute, within 5 s", async () => {
    const { clock, watch, write, relay } = await setting()
    const hints = watch()
    await hints.beyond(0)
    relay.stallAll(true)
    for (let second = 0; second < 60; second++) {
      clock.advance(1000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await write("one")
    const before = hints.count()
    relay.stallAll(false)
    expect(await until(() => hints.count() > before, clock, 50)).toBeLessThanOrEqual(5000)
  })

  it("hears of a change after its server was started again", async () => {
    const clock = fakeClock()
    const behind = memoryStore()
    const goes = new AbortController()
    const first = await onLoopback(storeHandler({ store: behind, clock, signal: goes.signal }))
    const store = httpStore({ url: `${first.url}/v1`, clock })
    const hints = hintCounter()
    store.watch("a/state", hints.hint, { signal: new AbortController().signal })
    await hints.beyond(0)
    goes.abort()
    await first.close()
    await behind.compareAndSet("a/state", 0, "one")
    const before = hints.count()
    const second = await onLoopback(storeHandler({ store: behind, clock }), first.port)
    ends.push(
      () => second.close(),
      () => store.close(),
    )
    expect(await until(() => hints.count() > before, clock, 50)).toBeLessThanOrEqual(5000)
  })

  it("leaves neither timer nor connection when it ends", async () => {
    const { clock, watch, stop, relay, asked, store } = await setting()
    const atOnce = new AbortController()
    store.watch("a/report", () => {}, { signal: atOnce.signal })
    atOnce.abort()
    await watch().beyond(0)
    stop.abort()
    await until(() => clock.pending() === 0, clock, 0)
    expect([clock.pending(), relay.connections(), asked.length]).toEqual([0, 1, 1])
  })
})

describe("a server without events", () => {
  it.each([
    ["that has no such address", () => new Response(null, { status: 404 })],
    ["that has something else there", () => new Response("{}", { headers: { "content-type": "application/json" } })],
    ["behind a proxy that keeps all of them to itself", () => new Promise<Response>(() => {})],
    [
      "behind a proxy that keeps them to itself",
      () => new Response(new ReadableStream(), { headers: { "content-type": "text/event-stream" } }),
    ],
  ])("%s is heard by long polls", async (_, events) => {
    const { clock, watch, write, asked } = await setting(
      (handler) => (request) =>
        request.url.includes("/events") ? Promise.resolve<Response>(events()) : handler(request),
    )
    const hints = watch()
    await until(() => hints.count() > 0, clock, 100)
    await until(() => asked.filter((line) => line === "HEAD /a/state?wait=5").length > 1, clock, 5)
    const before = hints.count()
    await write("one")
    expect(await until(() => hints.count() > before, clock, 0)).toBe(0)
  })

  it("and without waits is asked once a minute, and hints nothing but that it is there", async () => {
    const clock = fakeClock()
    const asked: string[] = []
    const files = await rawServer((text) => {
      asked.push(text.split(" HTTP")[0] ?? "")
      const isThere = !text.includes("/events")
      return `HTTP/1.1 ${isThere ? "200 OK" : "404 Not Found"}\r\nconnection: close\r\netag: "x"\r\ncontent-length: 0\r\n\r\n`
    })
    const store = httpStore({ url: files.url, clock })
    ends.push(
      () => files.close(),
      () => store.close(),
    )
    const hints = hintCounter()
    store.watch("a/state", hints.hint, { signal: new AbortController().signal })
    await until(() => asked.length === 2, clock, 0)
    for (let second = 0; second < 59; second++) {
      clock.advance(1000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(asked).toEqual(["GET /v1/a/events?documents=state", "HEAD /v1/a/state?wait=5"])
    await until(() => asked.length === 4, clock, 100)
    expect(hints.count()).toBe(0)
  })

  it("that does not let one in is asked again after a while, and not soon", async () => {
    const { clock, watch, asked } = await setting(() => async () => new Response(null, { status: 401 }))
    watch()
    await until(() => asked.length === 1, clock, 0)
    for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setImmediate(resolve))
    expect(await until(() => asked.length === 2, clock, 500)).toBeGreaterThanOrEqual(15_000)
  })

  it("that ends each stream as soon as it has begun is not asked without end", async () => {
    const greeting = (): Response => new Response(":\n\n", { headers: { "content-type": "text/event-stream" } })
    const { clock, watch, asked } = await setting(() => async () => greeting())
    watch()
    for (let turn = 0; turn < 2000; turn++) {
      clock.advance(10)
      await new Promise((resolve) => setImmediate(resolve))
    }
    // Twenty seconds: at most as often as the back-off allows.
    expect(asked.length).toBeGreaterThan(5)
    expect(asked.length).toBeLessThan(80)
  })
})
