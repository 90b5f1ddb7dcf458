import { describe, expect, it } from "vitest"
import { SerinError } from "../../src/errors.js"
import type { StateStore } from "../../src/rollout/store.js"
import { storeHandler } from "../../src/serve/handler.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { publicationOf, type Said } from "../evidence/publications.js"

const KEY = "a/evidence/host-1.77"
const evidence = (sequence: unknown, more: Said = {}): string =>
  publicationOf({ rollout: "a", publisher: "host-1.77", sequence, ...more })

async function publisher(store: StateStore = memoryStore()) {
  const clock = fakeClock()
  await store.compareAndSet("a/state", 0, "{}")
  const handler = storeHandler({ store, clock, authorize: () => true })
  const put = (
    body: NonNullable<RequestInit["body"]> | null,
    more: { path?: string; headers?: Record<string, string> } = {},
  ) =>
    handler(
      new Request(`http://localhost/v1/${more.path ?? KEY}`, {
        method: "PUT",
        headers: { "content-type": "application/json", ...more.headers },
        body,
        duplex: "half",
      }),
    )
  const told = async (response: Response): Promise<string> => {
    if (response.status === 204) return "204"
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    return `${response.status} ${error.code}: ${error.message}`
  }
  const stored = async () => (await store.get(KEY))?.envelope
  return { store, clock, put, stored, says: async (...args: Parameters<typeof put>) => told(await put(...args)) }
}

describe("evidence that is published", () => {
  it("is in the store when it is answered, and what comes later takes its place", async () => {
    const { says, stored, store } = await publisher()
    expect(await says(evidence(1))).toBe("204")
    expect(await stored()).toBe(evidence(1))
    expect(await says(evidence(5))).toBe("204")
    expect(await stored()).toBe(evidence(5))
    const kept = []
    for await (const { revision } of store.history(KEY)) kept.push(revision)
    expect(kept.length).toBeLessThanOrEqual(2)
  })

  it("that comes twice has come once, and what is older never takes the place of what is newer", async () => {
    const { says, stored, store } = await publisher()
    await says(evidence(2))
    expect(await says(evidence(2))).toBe("204")
    expect((await store.get(KEY))?.revision).toBe(1)
    expect(await says(evidence(1))).toBe("409 OLDER: sequence 2 is there already")
    expect(await says(evidence(2, { at: 1 }))).toMatch(/^409 DIFFERENT: /)
    expect(await stored()).toBe(evidence(2))
  })

  it("ends with the newest, in whatever order twenty copies of five come", async () => {
    const { put, stored } = await publisher()
    const order = Array.from({ length: 20 }, (_, i) => 1 + ((i * 7) % 5))
    await Promise.all(order.map((sequence) => put(evidence(sequence))))
    expect(await stored()).toBe(evidence(5))
  })

  it("takes the place of what cannot be read", async () => {
    const { says, stored, store } = await publisher()
    await store.compareAndSet(KEY, 0, "half of a docum")
    expect(await says(evidence(1))).toBe("204")
    expect(await stored()).toBe(evidence(1))
  })

  it.each([
    ["no JSON", "{", "publication: is not JSON"],
    ["no object", "[]", "publication: Invalid input: expected object"],
    ["null", "null", "publication: Invalid input: expected object"],
    ["a key that poisons", `{"__proto__":{},${evidence(1).slice(1)}`, "`__proto__` is no key of a publication"],
    [
      "another format",
      evidence(1, { format: "serin/evidence/1" }),
      'format: Invalid input: expected "serin/evidence/2"',
    ],
    ["with a key too many", evidence(1, { extra: 1 } as Said), 'Unrecognized key: "extra"'],
    ["without a salt", evidence(1, { salt: undefined }), "salt: Invalid input: expected string"],
    [
      "of counts that fit nowhere",
      evidence(1, { evidence: "AQEB/w==" }),
      "evidence: packed evidence has a cell that does not fit",
    ],
    ["of counts of another generation", evidence(1, { evidence: "AQkA" }), "evidence: it is of generation 9, and said"],
    ["another rollout's", evidence(1, { rollout: "b" }), "rollout must be that of the address"],
    ["another process's", evidence(1, { publisher: "x" }), "publisher must be that of the address"],
    ["without a sequence", evidence(undefined), "sequence: Invalid input: expected number"],
    ["of sequence 0", evidence(0), "sequence: Too small"],
    ["of half a sequence", evidence(1.5), "sequence: Invalid input: expected int"],
  ])("is refused with 422 if it is %s", async (_, body, message) => {
    const { says, stored } = await publisher()
    const said = await says(body)
    expect(said).toMatch(/^422 INVALID: /)
    expect(said).toContain(message)
    expect(await stored()).toBe(undefined)
  })

  it("is refused unless it is plain JSON, in UTF-8, and there", async () => {
    const { says } = await publisher()
    expect(await says(evidence(1), { headers: { "content-type": "text/plain" } })).toMatch(/^415 /)
    expect(await says(evidence(1), { headers: { "content-encoding": "gzip" } })).toMatch(/^415 /)
    expect(await says(new Uint8Array([0x22, 0xff, 0x22]))).toMatch(/^400 /)
    expect(await says(null)).toMatch(/^422 INVALID: there is no body/)
  })

  it("over 4 MiB is refused with 413, before it is read where it says so", async () => {
    const { says } = await publisher()
    expect(await says(evidence(1), { headers: { "content-length": "4194305" } })).toMatch(/^413 TOO_LARGE: /)
    let sent = 0
    const endless = new ReadableStream({
      pull(controller) {
        sent += 65_536
        controller.enqueue(new Uint8Array(65_536))
      },
    })
    expect(await says(endless)).toMatch(/^413 TOO_LARGE: /)
    expect(sent).toBeLessThan(4_500_000)
  })

  it("that comes byte by byte is given up after ten seconds", async () => {
    const { says, clock } = await publisher()
    const slow = says(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([0x7b])) }))
    await clock.settle()
    clock.advance(10_000)
    expect(await slow).toMatch(/^408 TIMEOUT: /)
    expect(clock.pending()).toBe(0)
  })

  it("is taken in by 32 at once, and the next is told to come again", async () => {
    const { put, says, clock } = await publisher()
    const never = () => new ReadableStream({ start() {} })
    const waiting = Array.from({ length: 32 }, () => put(never()))
    await clock.settle()
    const response = await put(evidence(1))
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"])
    clock.advance(10_000)
    await Promise.all(waiting)
    expect(await says(evidence(1))).toBe("204")
  })

  it("of a rollout that is not there is 404, and of a crowd that cannot be is 429", async () => {
    const { says } = await publisher()
    expect(await says(evidence(1, { rollout: "b" }), { path: "b/evidence/host-1.77" })).toMatch(/^404 NOT_FOUND: /)
    const store = memoryStore()
    const crowd = Array.from({ length: 10_000 }, (_, i) => `a/evidence/p${i}`)
    const full = await publisher({ ...store, list: async () => crowd })
    await store.compareAndSet(`a/evidence/p1`, 0, "x")
    const response = await full.put(evidence(1))
    expect([response.status, response.headers.get("retry-after")]).toEqual([429, "60"])
    expect(await full.says(evidence(1, { publisher: "p1" }), { path: "a/evidence/p1" })).toBe("204")
  })

  it("that the store does not take is 503, to be sent again", async () => {
    const failing: StateStore["compareAndSet"] = async (key, ...more) => {
      if (key !== KEY) return memoryStore().compareAndSet(key, ...more)
      throw new SerinError("STORE_AMBIGUOUS", "who knows")
    }
    const store = memoryStore()
    await store.compareAndSet("a/state", 0, "{}")
    const { says } = await publisher({ ...store, compareAndSet: failing })
    expect(await says(evidence(1))).toMatch(/^503 UNAVAILABLE: /)
  })

  it("is taken in by no store that can only be read", async () => {
    const { get, watch, caps } = memoryStore()
    const handler = storeHandler({ store: { get, watch, caps }, authorize: () => true })
    const response = await handler(new Request(`http://localhost/v1/${KEY}`, { method: "PUT", body: evidence(1) }))
    expect([response.status, response.headers.get("allow")]).toEqual([405, ""])
  })
})
