import { describe, expect, it } from "vitest"
import { SerinError } from "../../src/errors.js"
import type { StateStore } from "../../src/rollout/store.js"
import { bearer } from "../../src/serve/bearer.js"
import { storeHandler, type StoreHandlerOptions } from "../../src/serve/handler.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock, type FakeClock } from "../../src/testing/fake-clock.js"

const TOKEN = "0123456789abcdef"

interface Served {
  readonly store: StateStore
  readonly clock: FakeClock
  ask(path: string, init?: RequestInit): Promise<Response>
  put(publisher: string, document: unknown, init?: RequestInit): Promise<Response>
  write(key: string, text: string): Promise<void>
}

function serve(options: Partial<StoreHandlerOptions> = {}): Served {
  const store = memoryStore()
  const clock = fakeClock()
  const handler = storeHandler({ store, clock, authorize: () => true, ...options })
  const ask: Served["ask"] = (path, init) => handler(new Request(`http://localhost${path}`, init))
  return {
    store,
    clock,
    ask,
    put: (publisher, document, init) =>
      ask(`/v1/a/evidence/${publisher}`, {
        method: "PUT",
        headers: { "content-type": "application/json" },
        body: typeof document === "string" ? document : JSON.stringify(document),
        ...init,
      }),
    async write(key, text) {
      await store.compareAndSet(key, (await store.get(key))?.revision ?? 0, text)
    },
  }
}

async function errorOf(response: Response): Promise<{ status: number; code: string }> {
  const { error } = (await response.json()) as { error: { code: string } }
  return { status: response.status, code: error.code }
}

describe("a document", () => {
  it("is its exact text, with its revision, and a name that proxies may not keep it under", async () => {
    const { ask, write } = serve()
    await write("a/state", "{}")
    await write("a/state", '\uFEFF{"a": "ü" }\n')
    const response = await ask("/v1/a/state")
    expect(Buffer.from(await response.arrayBuffer()).toString()).toBe('\uFEFF{"a": "ü" }\n')
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "cache-control": "no-store",
      "content-length": "16",
      "content-type": "application/json; charset=utf-8",
      etag: expect.stringMatching(/^"2-[0-9a-f]+"$/),
      "serin-revision": "2",
      "x-content-type-options": "nosniff",
    })
    expect(response.headers.has("access-control-allow-origin")).toBe(false)
  })

  it("is asked for with HEAD as with GET, without its text", async () => {
    const { ask, write } = serve()
    await write("a/state", "{}")
    const [get, head] = [await ask("/v1/a/state"), await ask("/v1/a/state", { method: "HEAD" })]
    expect([...head.headers]).toEqual([...get.headers])
    expect(await head.text()).toBe("")
  })

  it("that the client has already is 304: under that name, a weak one, one of many, or any", async () => {
    const { ask, write } = serve()
    await write("a/state", "{}")
    const etag = (await ask("/v1/a/state")).headers.get("etag") ?? ""
    for (const has of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
      const response = await ask("/v1/a/state", { headers: { "if-none-match": has } })
      expect([response.status, await response.text(), response.headers.get("serin-revision")]).toEqual([304, "", "1"])
    }
    expect((await ask("/v1/a/state", { headers: { "if-none-match": '"x"' } })).status).toBe(200)
  })

  it("that was never written is 404, and says that it is known to be none", async () => {
    const response = await serve().ask("/v1/a/state")
    expect(response.headers.get("serin-revision")).toBe("0")
    expect(await errorOf(response)).toEqual({ status: 404, code: "NOT_FOUND" })
  })
})

describe("what is not there to be read", () => {
  it.each([
    "/",
    "/v1",
    "/v1/a",
    "/v1/a/state/",
    "/v1/a/state/1",
    "/v1/a/secrets",
    "/v2/a/state",
    "/v1/A/state",
    "/v1/../a/state",
    "/v1/%2e%2e/state",
    "/v1/a/evidence",
    "/v1/a/evidence/.x",
    "/v1/a/evidence/x/y",
    "/v1//state",
  ])("%s is 404, and says nothing of a revision", async (path) => {
    const response = await serve().ask(path)
    expect(response.headers.has("serin-revision")).toBe(false)
    expect(await errorOf(response)).toEqual({ status: 404, code: "NOT_FOUND" })
  })

  it("is evidence, for whoever asks", async () => {
    const { ask, write } = serve()
    await write("a/evidence/p", "{}")
    for (const method of ["GET", "HEAD", "DELETE"]) {
      const response = await ask("/v1/a/evidence/p", { method })
      expect([response.status, response.headers.get("allow")]).toEqual([405, "PUT"])
    }
  })

  it("is written by nobody: no other method is taken", async () => {
    for (const method of ["PUT", "POST", "DELETE", "PATCH", "OPTIONS"]) {
      const response = await serve().ask("/v1/a/state", { method })
      expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"])
    }
  })

  it("is what the client does not accept", async () => {
    const { ask } = serve()
    const accepting = (path: string, accept: string) => ask(path, { headers: { accept } })
    expect(await errorOf(await accepting("/v1/a/state", "text/event-stream"))).toMatchObject({ status: 406 })
    expect(await errorOf(await accepting("/v1/a/state", "text/html, */*;q=0"))).toMatchObject({ status: 406 })
    expect(await errorOf(await accepting("/v1/a/events", "application/json"))).toMatchObject({ status: 406 })
    expect((await accepting("/v1/a/state", "text/html, */*;q=0.1")).status).toBe(404)
  })
})

describe("who may", () => {
  it("is everybody who reads, and nobody who publishes, where nothing is said", async () => {
    const { ask, put } = serve({ authorize: undefined })
    expect((await ask("/v1/a/state")).status).toBe(404)
    expect(await errorOf(await put("p", {}))).toEqual({ status: 403, code: "FORBIDDEN" })
  })

  it("is who has a token: 401 without one, 403 with another", async () => {
    const { ask } = serve({ authorize: bearer([TOKEN, "fedcba9876543210"]) })
    const asked = (authorization: string) => ask("/v1/a/state", { headers: { authorization } })
    const none = await ask("/v1/a/state")
    expect([none.status, none.headers.get("www-authenticate")]).toEqual([401, "Bearer"])
    for (const wrong of [`Bearer ${TOKEN}x`, TOKEN, `Basic ${TOKEN}`, "Bearer", `Bearer ${TOKEN} x`]) {
      expect(await errorOf(await asked(wrong))).toEqual({ status: 403, code: "FORBIDDEN" })
    }
    for (const right of [`Bearer ${TOKEN}`, `bearer  ${TOKEN}`, "Bearer fedcba9876543210"]) {
      expect((await asked(right)).status).toBe(404)
    }
  })

  it("is told apart by what is asked for", async () => {
    const { ask, put } = serve({ authorize: bearer({ read: [TOKEN], publish: ["publisher-token-1"] }) })
    const reader = { authorization: `Bearer ${TOKEN}` }
    const publisher = { authorization: "Bearer publisher-token-1" }
    expect((await ask("/v1/a/state", { headers: reader })).status).toBe(404)
    expect((await put("p", {}, { headers: reader })).status).toBe(403)
    expect((await ask("/v1/a/state", { headers: publisher })).status).toBe(403)
    expect((await put("p", {}, { headers: publisher })).status).toBe(415)
  })

  it("is nobody where the host fails to say", async () => {
    const told: unknown[] = []
    const failing = (): never => {
      throw new Error("the directory is down")
    }
    const { ask } = serve({ authorize: failing, onError: (error) => told.push(error) })
    expect((await ask("/v1/a/state")).status).toBe(401)
    expect(told).toMatchObject([{ message: "the directory is down" }])
  })

  it("needs a token that cannot be guessed", () => {
    expect(() => bearer([])).toThrow(/needs one token at least/)
    expect(() => bearer(["short"])).toThrow(/16 characters at least, got 5/)
    expect(() => bearer(["0123456789 abcdef"])).toThrow(/may have A-Z/)
  })
})

describe("a long poll", () => {
  const waiting = async (served: Served, wait = "30", init: RequestInit = {}): Promise<Promise<Response>> => {
    const etag = (await served.ask("/v1/a/state")).headers.get("etag") ?? ""
    const answer = served.ask(`/v1/a/state?wait=${wait}`, { headers: { "if-none-match": etag }, ...init })
    // In an object, or awaiting this function would await the answer.
    return new Promise((resolve) => void served.clock.settle().then(() => resolve({ answer } as never)))
  }
  const answerOf = async (waited: Promise<unknown>) => ((await waited) as { answer: Promise<Response> }).answer

  it("is answered when the document changes, and leaves nothing behind", async () => {
    const served = serve()
    await served.write("a/state", "one")
    const answer = answerOf(waiting(served))
    await served.clock.settle()
    await served.write("a/state", "two")
    const response = await answer
    expect([response.status, await response.text(), response.headers.get("serin-wait")]).toEqual([200, "two", "30"])
    expect(served.clock.pending()).toBe(0)
  })

  it("is answered when the document is written for the first time", async () => {
    const served = serve()
    const answer = answerOf(waiting(served))
    await served.clock.settle()
    await served.write("a/state", "one")
    expect(await (await answer).text()).toBe("one")
  })

  it("ends with 304, and with 404 for what is still not there, after 55 s at the latest", async () => {
    for (const there of [true, false]) {
      const served = serve()
      if (there) await served.write("a/state", "one")
      let ended = false
      const answer = answerOf(waiting(served, "999")).then((response) => {
        ended = true
        return response
      })
      await served.clock.settle()
      for (let second = 0; second < 55; second++) {
        expect(ended).toBe(false)
        served.clock.advance(1000)
        await served.clock.settle()
      }
      expect((await answer).status).toBe(there ? 304 : 404)
      expect(served.clock.pending()).toBe(0)
    }
  })

  it("is answered although the store lost its hint", async () => {
    const store = memoryStore()
    const served = serve({ store: { ...store, watch: () => {} } })
    await store.compareAndSet("a/state", 0, "one")
    const answer = answerOf(waiting(served))
    await served.clock.settle()
    await store.compareAndSet("a/state", 1, "two")
    served.clock.advance(2000)
    expect(await (await answer).text()).toBe("two")
  })

  it("is not waited with for whom there is news already, or who does not say what it has", async () => {
    const served = serve()
    await served.write("a/state", "one")
    const stale = await served.ask("/v1/a/state?wait=30", { headers: { "if-none-match": '"old"' } })
    const first = await served.ask("/v1/a/state?wait=30")
    expect([stale.status, first.status, first.headers.get("serin-wait")]).toEqual([200, 200, "30"])
    expect(served.clock.pending()).toBe(0)
  })

  it("needs a number of seconds", async () => {
    for (const wait of ["", "x", "-1", "1e9"]) {
      expect((await serve().ask(`/v1/a/state?wait=${wait}`)).status).toBe(400)
    }
  })

  it("ends with its client, and with the server", async () => {
    for (const of of ["client", "server"]) {
      const end = new AbortController()
      const served = serve(of === "server" ? { signal: end.signal } : {})
      await served.write("a/state", "one")
      const answer = answerOf(waiting(served, "30", of === "client" ? { signal: end.signal } : {}))
      await served.clock.settle()
      expect(served.clock.pending()).toBeGreaterThan(0)
      end.abort()
      await answer
      expect(served.clock.pending()).toBe(0)
    }
  })
})

describe("an event stream", () => {
  async function opened(served: Served, path = "/v1/a/events", init: RequestInit = {}) {
    const response = await served.ask(path, { headers: { accept: "text/event-stream" }, ...init })
    const reader = response.body?.getReader()
    const read = async (): Promise<string | null> => {
      const chunk = await reader?.read()
      return chunk?.value === undefined ? null : Buffer.from(chunk.value as Uint8Array).toString()
    }
    return { response, read, cancel: () => reader?.cancel() }
  }
  const namesIn = (text: string | null): string[] =>
    [...(text ?? "").matchAll(/^event: (.*)$/gm)].map(([, n]) => n ?? "")

  it("begins with what there is, so that nothing is missed between two streams", async () => {
    const served = serve()
    await served.write("a/state", "{}")
    await served.write("a/state", "{ }")
    const { response, read, cancel } = await opened(served, "/v1/a/events?documents=state,leader")
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8")
    expect(response.headers.get("x-accel-buffering")).toBe("no")
    expect(response.headers.get("cache-control")).toBe("no-store")
    await served.clock.settle()
    const text = await read()
    const etag = (await served.ask("/v1/a/state")).headers.get("etag")
    expect(text).toContain(`event: state\nid: state:2\ndata: ${JSON.stringify({ revision: 2, etag })}\n\n`)
    expect(namesIn(text)).toEqual(["state", "leader"])
    await cancel()
    expect(served.clock.pending()).toBe(0)
  })

  it("tells of each change of what was asked for, once", async () => {
    const served = serve()
    const { read, cancel } = await opened(served, "/v1/a/events?documents=state")
    await served.clock.settle()
    await read()
    await served.write("a/report", "{}")
    await served.write("a/state", "one")
    expect(namesIn(await read())).toEqual(["state"])
    const next = read()
    served.clock.advance(2000)
    expect(await next).toBe(":\n\n")
    await cancel()
  })

  it("has a heartbeat every two seconds", async () => {
    const served = serve()
    const { read, cancel } = await opened(served)
    await served.clock.settle()
    await read()
    for (let beat = 0; beat < 3; beat++) {
      let heard: string | null = null
      const next = read().then((text) => (heard = text))
      served.clock.advance(1999)
      await served.clock.settle()
      expect(heard).toBe(null)
      served.clock.advance(1)
      expect(await next).toBe(":\n\n")
    }
    await cancel()
  })

  it("keeps one event of a document for a slow reader, however many there were", async () => {
    const served = serve()
    const { read, cancel } = await opened(served, "/v1/a/events?documents=state,report")
    await served.clock.settle()
    await read()
    for (let revision = 1; revision <= 200; revision++) {
      await served.write("a/state", `r${revision}`)
      if (revision % 50 === 0) served.clock.advance(2000)
      await served.clock.settle()
    }
    const text = await read()
    expect(namesIn(text)).toEqual(["state"])
    expect(text).toContain("id: state:200\n")
    await cancel()
  })

  it("ends with its client, with the server, and by itself after five minutes, and leaves nothing behind", async () => {
    for (const of of ["client", "server", "itself"]) {
      const end = new AbortController()
      const served = serve(of === "server" ? { signal: end.signal } : {})
      const { read } = await opened(served, "/v1/a/events", of === "client" ? { signal: end.signal } : {})
      await served.clock.settle()
      await read()
      if (of === "itself") served.clock.advance(300_000)
      else end.abort()
      const last = await read()
      expect(last === null || (await read()) === null).toBe(true)
      expect(served.clock.pending()).toBe(0)
    }
  })

  it("is refused with 503 over the limit, and let in when another ended", async () => {
    const served = serve({ maxStreams: 2 })
    const first = await opened(served)
    const second = await opened(served)
    const third = await opened(served)
    expect([third.response.status, third.response.headers.get("retry-after")]).toEqual([503, "5"])
    const waits = await served.ask("/v1/a/state?wait=5", { headers: { "if-none-match": '"0"' } })
    expect(waits.status).toBe(503)
    expect((await served.ask("/v1/a/state")).status).toBe(404)
    await first.cancel()
    const fourth = await opened(served)
    expect(fourth.response.status).toBe(200)
    await second.cancel()
    await fourth.cancel()
    expect(served.clock.pending()).toBe(0)
  })

  it("does not have the store watched for names without end", async () => {
    const watched = new Set<string>()
    const store = memoryStore()
    const watch: StateStore["watch"] = (key, hint, options) => {
      watched.add(key)
      store.watch(key, hint, options)
    }
    const served = serve({ store: { ...store, watch }, maxStreams: 64 })
    const streams = []
    for (let i = 0; i < 40; i++) streams.push(await opened(served, `/v1/r${i}/events`))
    expect(watched.size).toBe(64)
    expect(streams.map(({ response }) => response.status).filter((status) => status === 503)).toHaveLength(24)
    for (const { cancel } of streams) await cancel()
  })

  it("of documents that there are none of is 400, and of HEAD has no body", async () => {
    expect((await serve().ask("/v1/a/events?documents=state,evidence")).status).toBe(400)
    expect((await serve().ask("/v1/a/events?documents=")).status).toBe(400)
    const served = serve()
    const head = await served.ask("/v1/a/events", { method: "HEAD" })
    expect([head.status, head.body]).toEqual([200, null])
    expect(served.clock.pending()).toBe(0)
  })
})

describe("many readers at once", () => {
  it("ask the store a few times, and none gets what was read before it asked", async () => {
    let reads = 0
    const store = memoryStore()
    const get: StateStore["get"] = async (key, options) => {
      reads++
      const found = await store.get(key, options)
      await new Promise((resolve) => setImmediate(resolve))
      return found
    }
    const served = serve({ store: { ...store, get } })
    await store.compareAndSet("a/state", 0, "one")
    const early = Array.from({ length: 100 }, () => served.ask("/v1/a/state"))
    await Promise.resolve()
    await store.compareAndSet("a/state", 1, "two")
    const late = Array.from({ length: 100 }, () => served.ask("/v1/a/state"))
    const texts = await Promise.all((await Promise.all(late)).map((response) => response.text()))
    expect(new Set(texts)).toEqual(new Set(["two"]))
    await Promise.all(early)
    expect(reads).toBeLessThanOrEqual(3)
  })
})

describe("a store that fails", () => {
  it("is 503, soon to be tried again, and what failed is for the host alone", async () => {
    const told: unknown[] = []
    const failing: StateStore["get"] = async () => {
      throw new SerinError("STORE_UNAVAILABLE", "/srv/secret/state: EACCES")
    }
    const served = serve({ store: { ...memoryStore(), get: failing }, onError: (error) => told.push(error) })
    const response = await served.ask("/v1/a/state")
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"])
    expect(await response.text()).not.toContain("secret")
    expect(told).toMatchObject([{ message: "/srv/secret/state: EACCES" }])
  })

  it("with what no store says is 500, without a word of it", async () => {
    const failing: StateStore["get"] = async () => {
      throw new TypeError("x is not a function")
    }
    const response = await serve({ store: { ...memoryStore(), get: failing } }).ask("/v1/a/state")
    expect(response.status).toBe(500)
    expect(await response.text()).toBe('{"error":{"code":"FAILED","message":"this server failed"}}\n')
  })

  it("that never answers is 503 after two seconds", async () => {
    const served = serve({ store: { ...memoryStore(), get: () => new Promise(() => {}) } })
    const answer = served.ask("/v1/a/state")
    await served.clock.settle()
    served.clock.advance(2000)
    expect((await answer).status).toBe(503)
  })
})

describe("options that cannot be meant", () => {
  const wrong = (options: object) => () => storeHandler({ store: memoryStore(), ...options })
  it("are refused with what they must be", () => {
    expect(wrong({ heartbeatMs: 50 })).toThrow("heartbeatMs must be a whole number from 100 to 10000, got 50")
    expect(wrong({ maxWaitMs: 60_000 })).toThrow("maxWaitMs must be a whole number from 0 to 55000, got 60000")
    expect(wrong({ maxStreams: 0 })).toThrow("maxStreams must be a whole number from 1")
    expect(wrong({ store: {} })).toThrow(/store must have the methods get, watch/)
    expect(wrong({ authorise: () => true })).toThrow(/did you mean authorize/)
  })
})
