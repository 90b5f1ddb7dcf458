import { describe, expect, it } from "vitest"
import { figuresOf } from "../../src/analysis/figures.js"
import { recordEvaluation, recordPair } from "../../src/evidence/cells.js"
import { createStratum, type Stratum } from "../../src/model/evidence.js"

const figures = (...strata: Stratum[]) => figuresOf({ generation: 1, strata })

describe("figures", () => {
  it("sum what both releases said of the same calls over cohorts and stages", () => {
    const [first, second] = [createStratum(), createStratum()]
    for (let cohort = 0; cohort < 64; cohort++) recordPair(first, cohort, 0, 0, 1, 1, true)
    recordPair(second, 3, 0, 1, 1, 1, true)
    recordPair(second, 3, 2, 3, 1, 1, false)
    const { pairs, pairsAfter } = figures(first, second)
    expect(pairs).toEqual([
      [64, 1, 0, 0],
      [0, 0, 0, 0],
      [0, 0, 0, 1],
      [0, 0, 0, 0],
    ])
    expect(pairsAfter).toBe(0)
  })

  it("have quantiles of both arms, of the same calls where there are any, to a bin's width", () => {
    const stratum = createStratum()
    for (let ms = 1; ms <= 1000; ms++) recordPair(stratum, ms % 64, 0, 0, ms, 2 * ms, false)
    recordEvaluation(stratum, 0, 0, 0, 60_000, true)
    const { latency } = figures(stratum)
    expect(latency?.of).toBe("pairs")
    for (const [i, ms] of [500, 750, 900, 950, 990, 999].entries()) {
      expect((latency?.stable[i] ?? 0) / ms).toBeCloseTo(1, 1)
      expect((latency?.canary[i] ?? 0) / (2 * ms)).toBeCloseTo(1, 1)
    }
  })

  it("have quantiles of what each arm served where nothing was judged by both, and none where one arm has none", () => {
    const stratum = createStratum()
    recordEvaluation(stratum, 0, 0, 0, 10, true)
    expect(figures(stratum).latency).toBe(null)
    recordEvaluation(stratum, 1, 0, 0, 20, true)
    expect(figures(stratum).latency).toMatchObject({ of: "arms" })
  })
})
