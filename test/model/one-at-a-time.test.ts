import { describe, expect, it } from "vitest"
import { oneAtATime } from "../../src/model/one-at-a-time.js"

const TICKS = Array.from({ length: 12 }, (_, ticks) => ticks)

describe("work that runs once at a time", () => {
  it.each(TICKS)("is begun for who asks %i turns after it began, and is over when that is done", async (ticks) => {
    let [begun, ended, atOnce] = [0, 0, 0]
    const run = oneAtATime(async () => {
      expect(++atOnce).toBe(1)
      begun++
      await Promise.resolve()
      ended++
      atOnce--
    })
    void run()
    for (let i = 0; i < ticks; i++) await Promise.resolve()
    const before = begun
    await run()
    expect(begun).toBe(before + 1)
    expect(ended).toBe(begun)
  })

  it("is not begun once its signal has aborted, and what is under way is waited for", async () => {
    const lifetime = new AbortController()
    let [begun, ended] = [0, 0]
    const run = oneAtATime(async () => {
      begun++
      await Promise.resolve()
      ended++
    }, lifetime.signal)
    void run()
    lifetime.abort()
    await run()
    expect([begun, ended]).toEqual([1, 1])
    await run()
    expect(begun).toBe(1)
  })
})
