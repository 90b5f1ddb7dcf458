import { afterEach, describe, expect, it } from "vitest"
import { isSerinError } from "../../src/errors.js"
import { storeHandler } from "../../src/serve/handler.js"
import { httpStore, type HttpStore, type HttpStoreOptions } from "../../src/stores/http.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { readStoreContract } from "../../src/testing/read-store-contract.js"
import { onLoopback, rawServer, relayTo } from "../serve/loopback.js"

readStoreContract(
  "httpStore over storeHandler",
  {
    async create() {
      const behind = memoryStore()
      const server = await onLoopback(storeHandler({ store: behind }))
      const stores: HttpStore[] = []
      const reopen = (): HttpStore => {
        const store = httpStore({ url: `${server.url}/v1` })
        stores.push(store)
        return store
      }
      return {
        store: reopen(),
        reopen,
        async write(key, text) {
          await behind.compareAndSet(key, (await behind.get(key))?.revision ?? 0, text)
        },
        async destroy() {
          for (const store of stores) store.close()
          await server.close()
        },
      }
    },
  },
  { describe, it, expect },
)

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

function client(options: HttpStoreOptions): HttpStore {
  const store = httpStore(options)
  ends.push(() => store.close())
  return store
}

async function answering(...args: Parameters<typeof rawServer>): ReturnType<typeof rawServer> {
  const server = await rawServer(...args)
  ends.push(() => server.close())
  return server
}

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    return `no failure: ${JSON.stringify(await promise)}`
  } catch (error) {
    if (isSerinError(error)) return `${error.code}: ${error.message}`
    throw error
  }
}

const head = (status: string, ...headers: string[]): string =>
  [`HTTP/1.1 ${status}`, "connection: close", ...headers, "", ""].join("\r\n")
const ok = (body: string, ...headers: string[]): string =>
  head("200 OK", `content-length: ${Buffer.byteLength(body)}`, ...headers) + body
const JSON_TYPE = "content-type: application/json"

describe("a server that answers something else", () => {
  it.each([
    ["a page", ok("<html>", "content-type: text/html", "serin-revision: 1"), 'answered with "text/html"'],
    ["no revision", ok("{}", JSON_TYPE), "neither a serin-revision header nor"],
    ["a revision that is none", ok("{}", JSON_TYPE, "serin-revision: 1e3"), 'says that this is revision "1e3"'],
    ["a revision of a document that is none", ok('{"revision":-1}', JSON_TYPE), "neither a serin-revision header nor"],
    ["no JSON and no revision", ok("nonsense", "content-type: text/plain"), "neither a serin-revision header nor"],
    [
      "bytes that are no text",
      Buffer.concat([Buffer.from(ok("x", JSON_TYPE).slice(0, -1)), Buffer.from([0xff])]),
      "UTF-8",
    ],
    ["what is compressed", ok("x", JSON_TYPE, "content-encoding: gzip"), 'answered with what is "gzip"'],
    ["nothing new, unasked", head("304 Not Modified", 'etag: "x"'), "says that nothing changed, and was not asked"],
    [
      "a redirect",
      head("302 Found", "location: http://elsewhere.example/state", "content-length: 0"),
      "redirects (302)",
    ],
    ["nothing there", ok("", JSON_TYPE).replace("200 OK", "404 Not Found"), "is the address right?"],
    ["a failure", ok("oh", JSON_TYPE).replace("200 OK", "503 Unavailable"), "answered with status 503"],
    ["less than it promised", head("200 OK", JSON_TYPE, "content-length: 100") + "{", "broke off"],
    ["more than is read", head("200 OK", JSON_TYPE, "content-length: 1001"), "more than 1000 bytes"],
    ["more than is read, and no word of it", `${head("200 OK", JSON_TYPE)}${"x".repeat(1001)}`, "more than 1000 bytes"],
    ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n", "cannot be reached"],
    ["nothing", "", "cannot be reached"],
  ])("%s is STORE_UNAVAILABLE", async (_, answer, message) => {
    const server = await answering(() => answer)
    const found = await failure(client({ url: server.url, maxBytes: 1000 }).get("a/state"))
    expect(found).toContain("STORE_UNAVAILABLE: http://127.0.0.1:")
    expect(found).toContain(message)
  })

  it.each([401, 403])("%i is STORE_UNAUTHORIZED, so that a follower can slow down", async (status) => {
    const server = await answering(() => head(`${status} No`, "content-length: 0"))
    expect(await failure(client({ url: server.url }).get("a/state"))).toMatch(/^STORE_UNAUTHORIZED: /)
  })
})

describe("a server that is not there, or too slow", () => {
  it("that refuses connections fails at once", async () => {
    const server = await rawServer(() => "")
    await server.close()
    expect(await failure(client({ url: server.url }).get("a/state"))).toContain("ECONNREFUSED")
  })

  it.each([
    ["says nothing", null],
    ["says half of it", head("200 OK", JSON_TYPE, "content-length: 100") + "{"],
  ])("that %s is given up after 2 s, and its connection with it", async (_, answer) => {
    const clock = fakeClock()
    let asked = (): void => {}
    const heard = new Promise<void>((resolve) => (asked = resolve))
    const server = await answering((_text, nth) => {
      asked()
      return nth === 1 ? answer : ok('{"revision":3}', JSON_TYPE)
    }, "keep")
    const store = client({ url: server.url, clock })
    const first = failure(store.get("a/state"))
    await heard
    clock.advance(1999)
    clock.advance(1)
    expect(await first).toContain("did not answer within 2000 ms")
    expect(await store.get("a/state")).toMatchObject({ revision: 3 })
    expect(server.connections()).toBe(2)
    expect(clock.pending()).toBe(0)
  })

  it("whose idle connections went dead with one that was used takes none of them for the next request", async () => {
    const clock = fakeClock()
    const behind = memoryStore()
    await behind.compareAndSet("a/state", 0, "one")
    const server = await onLoopback(storeHandler({ store: behind }))
    const relay = await relayTo(server.port)
    ends.push(
      () => server.close(),
      () => relay.close(),
    )
    const store = client({ url: `http://127.0.0.1:${relay.port}/v1`, clock })
    await Promise.all([store.get("a/state"), store.get("a/state"), store.get("a/report")])
    expect(relay.connections()).toBe(3)
    relay.stall()
    const lost = failure(store.get("a/state"))
    clock.advance(2000)
    expect(await lost).toContain("did not answer")
    expect(await store.get("a/state")).toMatchObject({ envelope: "one" })
    expect(relay.connections()).toBe(4)
  })

  it("that closed an idle connection is asked again on a new one", async () => {
    const behind = memoryStore()
    await behind.compareAndSet("a/state", 0, "one")
    const server = await onLoopback(storeHandler({ store: behind }))
    const relay = await relayTo(server.port)
    ends.push(
      () => server.close(),
      () => relay.close(),
    )
    const store = client({ url: `http://127.0.0.1:${relay.port}/v1` })
    await store.get("a/state")
    relay.cut()
    expect(await store.get("a/state")).toMatchObject({ envelope: "one" })
  })
})

describe("a document that did not change", () => {
  it("is not sent again, and is the same", async () => {
    const behind = memoryStore()
    await behind.compareAndSet("a/state", 0, "one")
    const statuses: number[] = []
    const handler = storeHandler({ store: behind })
    const server = await onLoopback(async (request) => {
      const response = await handler(request)
      statuses.push(response.status)
      return response
    })
    ends.push(() => server.close())
    const store = client({ url: `${server.url}/v1` })
    const first = await store.get("a/state")
    expect(await store.get("a/state")).toBe(first)
    await behind.compareAndSet("a/state", 1, "two")
    expect(await store.get("a/state")).toMatchObject({ revision: 2, envelope: "two" })
    expect(statuses).toEqual([200, 304, 200])
  })

  it("is the same under an ETag that a proxy made weak", async () => {
    const asked: string[] = []
    const server = await answering((text) => {
      asked.push(/if-none-match: (.*)\r/i.exec(text)?.[1] ?? "")
      return asked.length === 1
        ? ok("one", JSON_TYPE, 'etag: W/"t1"', "serin-revision: 4")
        : head("304 Not Modified", 'etag: "t1"')
    })
    const store = client({ url: server.url })
    expect(await store.get("a/state")).toEqual({ revision: 4, token: "t1", envelope: "one" })
    expect(await store.get("a/state")).toEqual({ revision: 4, token: "t1", envelope: "one" })
    expect(asked).toEqual(["", 'W/"t1"'])
  })

  it("is not believed to be another document's, and is asked for anew", async () => {
    const asked: string[] = []
    const server = await answering((text) => {
      asked.push(/if-none-match: (.*)\r/i.exec(text)?.[1] ?? "")
      return asked.length === 2
        ? head("304 Not Modified", 'etag: "other"')
        : ok("one", JSON_TYPE, 'etag: "t1"', "serin-revision: 4")
    })
    const store = client({ url: server.url })
    await store.get("a/state")
    expect(await failure(store.get("a/state"))).toContain("means something else")
    expect(await store.get("a/state")).toMatchObject({ envelope: "one" })
    expect(asked).toEqual(["", '"t1"', ""])
  })
})

describe("documents that are served as plain files", () => {
  const state = JSON.stringify({ format: "serin/state/1", revision: 7 })
  const signed = JSON.stringify({ payloadType: "x", payload: Buffer.from(state).toString("base64"), signatures: [] })

  it.each([
    ["a state", state, "content-type: application/json; charset=utf-8"],
    ["a state of unknown type", state, "content-type: binary/octet-stream"],
    ["a signed state", signed, JSON_TYPE],
  ])("have the revision that they bear: %s", async (_, text, type) => {
    const server = await answering(() => ok(text, type, 'etag: "abc"'))
    expect(await client({ url: server.url }).get("a/state")).toEqual({ revision: 7, token: "abc", envelope: text })
  })

  it("have a token without an ETag as well, which changes with them", async () => {
    const server = await answering((_, nth) => ok(nth < 3 ? state : `${state}\n`, JSON_TYPE))
    const store = client({ url: server.url })
    const tokens = [await store.get("a/state"), await store.get("a/state"), await store.get("a/state")].map(
      (found) => found?.token,
    )
    expect(tokens[0]).toBe(tokens[1])
    expect(tokens[2]).not.toBe(tokens[0])
  })
})

describe("what is asked", () => {
  it("bears the token of the moment and the headers, and asks for nothing compressed or kept", async () => {
    const asked: string[] = []
    const server = await answering((text) => {
      asked.push(text.toLowerCase())
      return ok('{"revision":1}', JSON_TYPE)
    })
    const tokens = ["token-of-today", "token-of-tomorrow"]
    const store = client({ url: server.url, token: () => tokens.shift() ?? "", headers: { "x-tenant": "a" } })
    await store.get("a/state")
    await store.get("a/state")
    expect(asked[0]).toContain("get /v1/a/state http/1.1")
    for (const line of [
      "x-tenant: a",
      "accept-encoding: identity",
      "cache-control: no-cache",
      "bearer token-of-today",
    ]) {
      expect(asked[0]).toContain(line)
    }
    expect(asked[1]).toContain("bearer token-of-tomorrow")
  })

  it("with a token that cannot be had is STORE_UNAUTHORIZED, and nothing is sent", async () => {
    const server = await answering(() => ok('{"revision":1}', JSON_TYPE))
    const fails = (): string => {
      throw new Error("no such file")
    }
    for (const token of [fails, () => "", () => "a\r\nx: y"]) {
      expect(await failure(client({ url: server.url, token }).get("a/state"))).toMatch(/^STORE_UNAUTHORIZED: token\(\)/)
    }
    expect(server.connections()).toBe(0)
  })

  it("is refused where it cannot be meant", () => {
    const wrong =
      (options: object): (() => unknown) =>
      () =>
        httpStore(options as HttpStoreOptions)
    expect(wrong({ url: "controller:8321" })).toThrow(/url must be an address that begins with http/)
    expect(wrong({ url: "file:///etc" })).toThrow(/url must be an address/)
    expect(wrong({ url: "http://a:b@host/v1" })).toThrow(/pass token/)
    expect(wrong({ url: "http://host/v1?x=1" })).toThrow(/without query/)
    expect(wrong({ url: "http://host", token: "a b" })).toThrow(/token may have/)
    expect(wrong({ url: "http://host", heartbeatMs: 0 })).toThrow(/heartbeatMs must be a number > 0, got 0/)
    expect(wrong({ url: "http://host", tokn: "x" })).toThrow(/did you mean token/)
  })

  it("after close() is not answered, and what was under way ends", async () => {
    const server = await answering(() => null, "keep")
    const store = client({ url: server.url })
    const underWay = failure(store.get("a/state"))
    store.close()
    expect(await underWay).toContain("the store was closed")
    expect(await failure(store.get("a/state"))).toContain("the store was closed")
  })
})
