import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { recent } from "../../src/session/recent.js"

describe("recent", () => {
  it("keeps the last keys used and never more than twice the capacity", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(fc.integer({ min: 0, max: 30 })), (capacity, keys) => {
        const memory = recent<number>(capacity)
        const used: string[] = []
        for (const key of keys) {
          const name = String(key)
          if (memory.get(name) === undefined) memory.set(name, key)
          used.push(name)
          expect(memory.size).toBeLessThanOrEqual(2 * capacity)
        }
        const lately = [...new Set(used.toReversed())].slice(0, capacity)
        for (const name of lately) expect(memory.get(name)).toBe(Number(name))
      }),
    )
  })

  it("refuses a capacity that is not a positive integer", () => {
    expect(() => recent(0)).toThrow(RangeError)
    expect(() => recent(1.5)).toThrow(RangeError)
  })
})
