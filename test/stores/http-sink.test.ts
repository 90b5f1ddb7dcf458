import { afterEach, describe, expect, it } from "vitest"
import { isSerinError } from "../../src/errors.js"
import { bearer } from "../../src/serve/bearer.js"
import { storeHandler } from "../../src/serve/handler.js"
import { httpSink, type HttpOptions } from "../../src/stores/http.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { publicationOf, type Said } from "../evidence/publications.js"
import { onLoopback, rawServer } from "../serve/loopback.js"

const KEY = "a/evidence/p"
const TOKEN = "0123456789abcdef"
const evidence = (sequence: number, more: Said = {}): string =>
  publicationOf({ rollout: "a", publisher: "p", sequence, ...more })
/** Fifty kilobytes, in two bytes a character. */
const DIFFS = Array.from({ length: 20 }, (_, i) => {
  const stable = { outcome: "allow", rule: "ü".repeat(256) }
  return { action: `${i}${"ü".repeat(1000)}`, stable, canary: { outcome: "deny" }, calls: 1 }
})

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

async function setting() {
  const store = memoryStore()
  await store.compareAndSet("a/state", 0, "{}")
  const server = await onLoopback(storeHandler({ store, authorize: bearer([TOKEN]) }))
  ends.push(() => server.close())
  return { store, url: `${server.url}/v1` }
}

function sinkOf(options: HttpOptions) {
  const sink = httpSink(options)
  ends.push(() => sink.close())
  return sink
}

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return "no failure"
  } catch (error) {
    if (isSerinError(error)) return `${error.code}: ${error.message}`
    throw error
  }
}

describe("a sink over HTTP", () => {
  it("has written when it says so, and an older put that was held up changes nothing", async () => {
    const { store, url } = await setting()
    const sink = sinkOf({ url, token: TOKEN })
    await sink.put(KEY, evidence(2, { diffs: DIFFS }))
    await sink.put(KEY, evidence(1))
    expect((await store.get(KEY))?.envelope).toBe(evidence(2, { diffs: DIFFS }))
  })

  it("tells who may not from what does not work, and from a name that two processes share", async () => {
    const { url } = await setting()
    expect(await failure(sinkOf({ url }).put(KEY, evidence(1)))).toMatch(/^STORE_UNAUTHORIZED: .*401/)
    expect(await failure(sinkOf({ url, token: `${TOKEN}x` }).put(KEY, evidence(1)))).toMatch(
      /^STORE_UNAUTHORIZED: .*403/,
    )
    const sink = sinkOf({ url, token: TOKEN })
    expect(await failure(sink.put(KEY, "{}"))).toMatch(
      /^STORE_UNAVAILABLE: .*422: format: Invalid input: expected "serin\/evidence\/2"/,
    )
    expect(await failure(sink.put(KEY, evidence(1, { fuse: "x".repeat(5_000_000) })))).toMatch(/^STORE_UNAVAILABLE: /)
    await sink.put(KEY, evidence(3))
    expect(await failure(sink.put(KEY, evidence(3, { at: 1 })))).toMatch(/^STORE_CONFLICT: .*a name of its own/)
  })

  it("waits two seconds, and as long as its caller", async () => {
    const clock = fakeClock()
    let asked = (): void => {}
    const silent = await rawServer(() => {
      asked()
      return null
    }, "keep")
    ends.push(() => silent.close())
    const sink = sinkOf({ url: silent.url, clock })
    const late = failure(sink.put(KEY, evidence(1)))
    await new Promise<void>((resolve) => (asked = resolve))
    clock.advance(2000)
    expect(await late).toContain("did not answer within 2000 ms")
    const giveUp = new AbortController()
    const given = failure(sink.put(KEY, evidence(1), { signal: giveUp.signal }))
    giveUp.abort()
    expect(await given).toContain("was not waited for any longer")
    expect(clock.pending()).toBe(0)
  })
})
