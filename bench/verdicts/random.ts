import { sfc32 } from "serin/testing"

/** Draws of one seed. */
export interface Random {
  /** In [0, 1). */
  uniform(): number
  normal(): number
  /** Mean 1. */
  exponential(): number
  /** Of this mean; `icc` in (0, 1) is the correlation of two 0/1 outcomes that share the draw. */
  beta(mean: number, icc: number): number
}

/** Make a source of draws. Equal seeds give equal worlds. */
export function randomOf(seed: number): Random {
  const uniform = sfc32(seed)
  let spare: number | null = null

  // Marsaglia's polar method.
  function normal(): number {
    if (spare !== null) {
      const value = spare
      spare = null
      return value
    }
    for (;;) {
      const x = 2 * uniform() - 1
      const y = 2 * uniform() - 1
      const square = x * x + y * y
      if (square >= 1 || square === 0) continue
      const factor = Math.sqrt((-2 * Math.log(square)) / square)
      spare = y * factor
      return x * factor
    }
  }

  // Marsaglia & Tsang 2000; below shape 1 by the power of a uniform.
  function gamma(shape: number): number {
    if (shape < 1) return gamma(shape + 1) * (1 - uniform()) ** (1 / shape)
    const d = shape - 1 / 3
    const c = 1 / Math.sqrt(9 * d)
    for (;;) {
      const x = normal()
      const v = (1 + c * x) ** 3
      if (v > 0 && Math.log(1 - uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v
    }
  }

  return {
    uniform,
    normal,
    exponential: () => -Math.log(1 - uniform()),
    beta(mean, icc) {
      if (mean <= 0 || mean >= 1) return mean <= 0 ? 0 : 1
      // Correlation of a beta-binomial: 1 / (a + b + 1).
      const size = 1 / icc - 1
      const a = gamma(mean * size)
      const b = gamma((1 - mean) * size)
      // Both vanish when the shapes are tiny: then all mass is at the ends.
      return a + b > 0 ? a / (a + b) : uniform() < mean ? 1 : 0
    },
  }
}
