import { describe, expect, it } from "vitest"
import { createLooks } from "../../src/controller/looks.js"
import { fakeClock } from "../../src/testing/fake-clock.js"

const TICKS = Array.from({ length: 12 }, (_, ticks) => ticks)

/** Looks of which each takes a few turns, as of a store in memory; what is asked for so many turns after the first began. */
async function looking(ticks: number) {
  const clock = fakeClock()
  let begun = 0
  const looks = createLooks({
    clock,
    everyMs: () => 5000,
    random: () => 0,
    async look() {
      begun++
      await Promise.resolve()
      return "answered"
    },
  })
  void looks.now()
  for (let i = 0; i < ticks; i++) await Promise.resolve()
  return { looks, clock, begun: () => begun }
}

describe("a look", () => {
  it.each(TICKS)("that is asked for %i turns after another began is begun before it is over", async (ticks) => {
    const { looks, begun } = await looking(ticks)
    const before = begun()
    await looks.now()
    expect(begun()).toBeGreaterThan(before)
    looks.close()
  })

  it.each(TICKS)("is brought about by a hint that comes %i turns after another began", async (ticks) => {
    const { looks, clock, begun } = await looking(ticks)
    const before = begun()
    looks.hint()
    await clock.advance(100)
    expect(begun()).toBeGreaterThan(before)
    looks.close()
  })
})
