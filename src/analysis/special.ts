/** ln √2π, of the normal density. */
export const LN_SQRT_2PI = 0.9189385332046728
/** Depth of the continued fraction: full double precision from z = 2 on. */
const MILLS_DEPTH = 64
/** Stirling's series 1/12x − 1/360x³ + …, exact to a double from x = 10 on. */
const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360] as const

/**
 * Compute ln Φ(z), the log of the standard normal distribution function, for any z: `Math.log` of a distribution
 * function is −∞ below z ≈ −8. Relative error below 1e-13.
 */
export function logNormCdf(z: number): number {
  if (z < -2) return Math.log(mills(-z)) - (z * z) / 2 - LN_SQRT_2PI
  if (z > 2) return Math.log1p(-mills(z) * Math.exp(-(z * z) / 2 - LN_SQRT_2PI))
  return Math.log(0.5 + Math.exp(-(z * z) / 2 - LN_SQRT_2PI) * oddFactorialSeries(z))
}

/** Compute ln Γ(x) for x > 0. Absolute error below 1e-13 near its zeros 1 and 2, relative below 1e-14 elsewhere. */
export function logGamma(x: number): number {
  let shift = 1
  let y = x
  for (; y < 10; y++) shift *= y
  const inverseSquare = 1 / (y * y)
  const series = STIRLING.reduceRight((rest, coefficient) => rest * inverseSquare + coefficient, 0)
  return (y - 0.5) * Math.log(y) - y + LN_SQRT_2PI + series / y - Math.log(shift)
}

/** Compute ln B(a, b), the log of the beta function, for a, b > 0. */
export function logBeta(a: number, b: number): number {
  return logGamma(a) + logGamma(b) - logGamma(a + b)
}

/** Compute ln Σ exp(x) without overflow; −∞ for no values. */
export function logSumExp(values: readonly number[]): number {
  const largest = Math.max(...values)
  if (!Number.isFinite(largest)) return largest
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0))
}

/** Mills' ratio (1 − Φ(x)) / φ(x) for x ≥ 2: 1/(x + 1/(x + 2/(x + 3/(x + …)))). */
function mills(x: number): number {
  let tail = x
  for (let k = MILLS_DEPTH; k >= 1; k--) tail = x + k / tail
  return 1 / tail
}

/** z + z³/3 + z⁵/(3·5) + z⁷/(3·5·7) + …, which is (Φ(z) − ½) / φ(z). */
function oddFactorialSeries(z: number): number {
  let term = z
  let sum = z
  for (let k = 3; Math.abs(term) > 1e-17; k += 2) {
    term *= (z * z) / k
    sum += term
  }
  return sum
}
