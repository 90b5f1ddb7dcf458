import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { globCovers, globMatches, globsMeet } from "../../src/engines/glob.js"
import { runs } from "../runs.js"

/** Few letters, so that patterns and texts meet; the regular expression is the definition. */
const pattern = fc.string({ unit: fc.constantFrom("a", "b", ".", "*", "?"), maxLength: 8 })
const text = fc.string({ unit: fc.constantFrom("a", "b", "."), maxLength: 8 })
const toRegExp = (glob: string) =>
  new RegExp(
    `^${glob
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", "[^]*")
      .replaceAll("?", "[^]")}$`,
  )

describe("globMatches", () => {
  it.each([
    ["cancel_*", "cancel_reservation", true],
    ["cancel_*", "cancel_", true],
    ["cancel_*", "uncancel_x", false],
    ["*", "", true],
    ["", "", true],
    ["", "a", false],
    ["?", "", false],
    ["get_?_*_id", "get_a_b_c_id", true],
    ["A", "a", false],
    ["a.b", "axb", false],
    ["*a*", "a\nb", true],
    ["a", "a\n", false],
  ])("%j on %j is %s", (glob, text, expected) => {
    expect(globMatches(glob, text)).toBe(expected)
  })

  it("matches iff the equivalent regular expression matches", () => {
    fc.assert(
      fc.property(pattern, text, (glob, text) => {
        expect(globMatches(glob, text)).toBe(toRegExp(glob).test(text))
      }),
      { numRuns: runs(1500) },
    )
  })

  it("matches iff the equivalent regular expression matches, in any characters", () => {
    const any = fc.string({ unit: "binary", maxLength: 20 })
    fc.assert(
      fc.property(any, any, (glob, text) => {
        expect(globMatches(glob, text)).toBe(toRegExp(glob).test(text))
        expect(globMatches(`${glob}*`, glob + text)).toBe(toRegExp(`${glob}*`).test(glob + text))
      }),
      { numRuns: runs(500) },
    )
  })

  it("does not explode on many stars", () => {
    // The regular expression of this glob needs more than 10^20 steps to fail.
    expect(globMatches(`${"*a".repeat(30)}*b`, "a".repeat(5000))).toBe(false)
  })
})

describe("globCovers", () => {
  it.each([
    ["*", "cancel_*", true],
    ["cancel_*", "cancel_*", true],
    ["cancel_*", "cancel_?", true],
    ["cancel_*", "cancel_*_now", true],
    ["cancel_?", "cancel_*", false],
    ["cancel_*", "*", false],
    ["?", "?", true],
    ["a", "?", false],
    ["cancel_*", "cancel_x", true],
  ])("%j over %j is %s", (glob, other, expected) => {
    expect(globCovers(glob, other)).toBe(expected)
  })

  it("never claims a cover when there is a text that only the other matches", () => {
    fc.assert(
      fc.property(pattern, pattern, text, (glob, other, text) => {
        if (globCovers(glob, other) && globMatches(other, text)) expect(globMatches(glob, text)).toBe(true)
      }),
      { numRuns: runs(1500) },
    )
  })
})

describe("globsMeet", () => {
  it("is true iff some text is matched by both", () => {
    const short = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 3 })
    // Two globs of three that meet do so in a text of six or fewer.
    const texts = [""]
    for (const one of texts) if (one.length < 6) texts.push(`${one}a`, `${one}b`)
    fc.assert(
      fc.property(short, short, (one, other) => {
        const meet = texts.some((text) => globMatches(one, text) && globMatches(other, text))
        expect(globsMeet(one, other)).toBe(meet)
      }),
      { numRuns: runs(2000) },
    )
  })

  it("does not take for ever on long ones", () => {
    expect(globsMeet("a".repeat(2000), "b".repeat(2000))).toBe(true)
    expect(globsMeet("a".repeat(900), "b".repeat(900))).toBe(false)
  })
})
