import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { bernoulliLogE, bernoulliLower } from "../../src/analysis/bernoulli.js"
import { discover, type Candidate } from "../../src/analysis/discoveries.js"
import { sfc32 } from "../../src/testing/sfc32.js"
import { runs } from "../runs.js"

describe("the e-value against a share of at most max", () => {
  it("is what is computed by hand", () => {
    // Beta(½, ½) mixture of one event in one trial: B(3/2, 1/2)/B(1/2, 1/2) = ½. Against 0.1: ½ / 0.1 = 5.
    expect(Math.exp(bernoulliLogE(1, 1, 0.1))).toBeCloseTo(5, 12)
    // Two of two: B(5/2, 1/2)/B(1/2, 1/2) = 3/8. Against 0.1: 0.375 / 0.01 = 37.5.
    expect(Math.exp(bernoulliLogE(2, 2, 0.1))).toBeCloseTo(37.5, 10)
    // One of two: B(3/2, 3/2)/B(1/2, 1/2) = 1/8. Against 0.1: 0.125 / 0.09. Against 0.7 the likeliest is ½: 0.125 / 0.25.
    expect(Math.exp(bernoulliLogE(1, 2, 0.1))).toBeCloseTo(0.125 / 0.09, 12)
    expect(Math.exp(bernoulliLogE(1, 2, 0.7))).toBeCloseTo(0.5, 12)
    expect(bernoulliLogE(0, 0, 0.1)).toBe(0)
    expect(bernoulliLogE(0, 1, 0.1)).toBeCloseTo(Math.log(0.5), 12)
    expect(bernoulliLogE(1, 1, 0)).toBe(Number.POSITIVE_INFINITY)
  })

  it("is at most 1 on average where the share is what is tolerated, and less where it is below", () => {
    const mean = (truth: number, trials: number): number => {
      let [sum, ways] = [0, 1]
      for (let k = 0; k <= trials; k++) {
        sum += ways * truth ** k * (1 - truth) ** (trials - k) * Math.exp(bernoulliLogE(k, trials, 0.1))
        ways = (ways * (trials - k)) / (k + 1)
      }
      return sum
    }
    for (const trials of [1, 5, 20, 60]) {
      expect(mean(0.1, trials)).toBeLessThanOrEqual(1)
      expect(mean(0.05, trials)).toBeLessThan(mean(0.1, trials))
    }
  })

  it("says the same as the bound", () => {
    fc.assert(
      fc.property(fc.nat(400), fc.nat(400), fc.double({ min: 0.001, max: 0.5, noNaN: true }), (events, misses, max) => {
        const logE = bernoulliLogE(events, events + misses, max)
        fc.pre(Math.abs(logE - Math.log(20)) > 1e-6)
        expect(bernoulliLower(events, events + misses, 0.05) > max).toBe(logE > Math.log(20))
      }),
      { numRuns: runs(200) },
    )
  })
})

/** e-BH as it is written in the paper: the largest k such that k candidates have a weighed e-value of 1/(αk). */
function byTheBook(candidates: readonly Candidate[], tolerated: number, alpha: number): readonly boolean[] {
  const e = candidates.map(({ events, trials }) => Math.exp(bernoulliLogE(events, trials, tolerated)))
  for (let k = candidates.length; k > 0; k--) {
    const passed = candidates.map(({ weight }, i) => e[i]! * weight >= 1 / (alpha * k) && e[i]! >= 1 / alpha)
    if (passed.filter(Boolean).length >= k) return passed
  }
  return candidates.map(() => false)
}

const candidates = fc.array(
  fc.record({ events: fc.nat(30), misses: fc.nat(2000) }).map(({ events, misses }) => ({
    events,
    trials: events + misses,
  })),
  { maxLength: 12 },
)

describe("discoveries", () => {
  it("are those of e-BH, and each has a bound above what is tolerated: no other has", () => {
    fc.assert(
      fc.property(candidates, fc.boolean(), (given, flat) => {
        const all = given.map((one, i) => ({ ...one, weight: flat ? 1 / 40 : 1 / ((i + 1) * (i + 2)) }))
        const found = discover(all, { tolerated: 0.005, alpha: 0.05 })
        expect(found.map((one) => one.found)).toEqual(byTheBook(all, 0.005, 0.05))
        for (const one of found) if (one.found) expect(one.lower).toBeGreaterThan(0.005 - 1e-12)
        if (!found.some((one) => one.found)) for (const one of found) expect(one.lower).toBeLessThanOrEqual(0.005)
      }),
      { numRuns: runs(200) },
    )
  })

  it("are helped by one another: what is not found alone may be found among others", () => {
    const weak = { events: 8, trials: 500, weight: 1 / 40 }
    const strong = { events: 60, trials: 500, weight: 1 / 40 }
    const options = { tolerated: 0.002, alpha: 0.05 }
    expect(discover([weak], options)[0]!.found).toBe(false)
    const [among] = discover([weak, strong, strong, strong, strong], options)
    expect(among!.found).toBe(true)
  })

  it("are wrong in at most alpha of those found, looked at all along and stopped where it looks worst", () => {
    // 20 kinds: 12 happen in exactly what is tolerated, 4 in four times that, 4 never. Sessions have several at once: kinds 0 to 5 come together.
    const [tolerated, alpha, sessions, worlds] = [0.02, 0.2, 250, 30]
    const truth = Array.from({ length: 20 }, (_, i) => (i < 12 ? tolerated : i < 16 ? 4 * tolerated : 0))
    let [shareOfWrong, power] = [0, 0]
    for (let world = 0; world < worlds; world++) {
      const random = sfc32(world + 1)
      const events = truth.map(() => 0)
      let [worst, last] = [0, 0]
      for (let n = 1; n <= sessions; n++) {
        const together = random()
        for (let i = 0; i < 20; i++) if ((i < 6 ? together : random()) < truth[i]!) events[i]! += 1
        if (n % 10 > 0) continue
        const all = events.map((count) => ({ events: count, trials: n, weight: 1 / 20 }))
        const found = discover(all, { tolerated, alpha })
        const hits = found.filter(({ found }) => found).length
        const wrong = found.slice(0, 12).filter(({ found }) => found).length
        worst = Math.max(worst, wrong / Math.max(1, hits))
        last = hits - wrong
      }
      shareOfWrong += worst / worlds
      power += last / 4 / worlds
    }
    // Stopped by a prophet: of what is stopped without one the mean is smaller still.
    expect(shareOfWrong).toBeLessThan(alpha)
    expect(power).toBeGreaterThan(0.3)
  })
})
