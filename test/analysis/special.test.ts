import { describe, expect, it } from "vitest"
import { logBeta, logGamma, logNormCdf, logSumExp } from "../../src/analysis/special.js"
import { relativeError, vectors } from "./vectors.js"

describe("special functions", () => {
  // scipy 1.17.1: scipy.special.log_ndtr, gammaln, betaln.
  it.each([
    [-100, -5005.524208694205],
    [-40, -804.6084420137539],
    [-20, -203.9171553710973],
    [-8.5, -39.19739642821768],
    [-3, -6.60772622151035],
    [-2.0000001, -3.7831845710035896],
    [-1.9999999, -3.7831840963604826],
    [-1, -1.8410216450092634],
    [0, -Math.LN2],
    [1, -0.1727537790234499],
    [2.5, -0.00622902548586],
    [6, -9.86587645524372e-10],
  ])("ln Φ(%d) does not underflow", (z, expected) => {
    expect(relativeError(logNormCdf(z), expected)).toBeLessThan(1e-13)
  })

  // mpmath, 40 digits. A series alone is a hundred times worse at −2.9, and a plain logarithm at 2.9.
  it.each([
    [-2.9, -6.284058234947419],
    [-2, -3.783184333682032],
    [0.3, -0.4814101615884812],
    [2, -0.023012909328963486],
    [2.5, -0.006229025485860002],
    [2.9, -0.0018675560981809211],
  ])("ln Φ(%d) is right to the last digits", (z, expected) => {
    expect(relativeError(logNormCdf(z), expected)).toBeLessThan(8e-15)
  })

  it("ln Φ ends where doubles end", () => {
    expect(logNormCdf(-Infinity)).toBe(-Infinity)
    expect(logNormCdf(Infinity)).toBeCloseTo(0, 15)
    expect(logNormCdf(-1e6)).toBeCloseTo(-5e11 - 14.73, 1)
  })

  it.each([
    [0.5, 0.5723649429247],
    [1, 0],
    [2.5, 0.2846828704729192],
    [9.99, 12.779315214350195],
    [10.01, 12.824350262448247],
    [123.4, 469.3360974421906],
    [1e6, 12815504.569147611],
  ])("ln Γ(%d)", (x, expected) => {
    expect(relativeError(logGamma(x), expected, 1)).toBeLessThan(2e-14)
  })

  it("ln Γ is that of factorials", () => {
    expect(Math.abs(logGamma(10) - Math.log(362_880))).toBeLessThan(8e-15)
  })

  it("ln B is the beta function's", () => {
    expect(relativeError(logBeta(0.5, 1000.5), -2.8816376965614836)).toBeLessThan(1e-12)
  })

  it("adds exponentials of any size", () => {
    expect(logSumExp([1000, 1000])).toBeCloseTo(1000 + Math.LN2, 12)
    expect(logSumExp([-1000, -Infinity])).toBe(-1000)
    expect(logSumExp([])).toBe(-Infinity)
    expect(logSumExp([-Infinity, -Infinity])).toBe(-Infinity)
    expect(logSumExp([0, Infinity])).toBe(Infinity)
  })

  vectors<{ x: number; y: number }>("stats-special.json", "logNormCdf", (cases) => {
    for (const { x, y } of cases) expect(relativeError(logNormCdf(x), y), `ln Φ(${x})`).toBeLessThan(1e-9)
  })
  vectors<{ x: number; y: number }>("stats-special.json", "lgamma", (cases) => {
    for (const { x, y } of cases) expect(relativeError(logGamma(x), y, 1), `ln Γ(${x})`).toBeLessThan(1e-12)
  })
  vectors<{ a: number; b: number; y: number }>("stats-special.json", "logBeta", (cases) => {
    for (const { a, b, y } of cases) expect(relativeError(logBeta(a, b), y), `ln B(${a}, ${b})`).toBeLessThan(1e-9)
  })
})
