import { LN_SQRT_2PI, logNormCdf } from "./special.js"

/** Log e-value of a score: `s` is excess × information, `v` information (1/variance), `rho` = 1/τ² the prior's precision. */
export function logE(s: number, v: number, rho: number): number {
  const scale = v + rho
  return 0.5 * Math.log((4 * rho) / scale) + (s * s) / (2 * scale) + logNormCdf(s / Math.sqrt(scale))
}

/**
 * Find the score at which the one-sided normal mixture reaches 1/alpha: a sum of independent noise of variance `v`
 * ever exceeds it with probability at most `alpha`, looked at as often as one likes.
 * Howard, Ramdas, McAuliffe, Sekhon 2021, proposition 5; in units of information Waudby-Smith et al. 2024.
 */
export function bound(v: number, alpha: number, rho: number): number {
  const target = -Math.log(alpha)
  const scale = v + rho
  const root = Math.sqrt(scale)
  // Newton from the right. ln E is convex and increasing in s, and the two-sided closed form is never below the
  // one-sided root (there ln E = ln 1/alpha + ln 2Φ ≥ ln 1/alpha), so every step lands between the root and the last.
  let s = twoSidedBound(v, alpha, rho)
  for (;;) {
    const z = s / root
    const hazard = Math.exp(-(z * z) / 2 - LN_SQRT_2PI - logNormCdf(z))
    const next = s - (logE(s, v, rho) - target) / ((z + hazard) / root)
    if (!(next < s)) return s
    s = next
  }
}

/** The same for a sum that may leave in either direction, in closed form. */
export function twoSidedBound(v: number, alpha: number, rho: number): number {
  return Math.sqrt((v + rho) * (Math.log1p(v / rho) - 2 * Math.log(alpha)))
}

/** One-sided lower confidence bound at level `alpha` of an estimate with information `v`; holds at every look. */
export function lower(estimate: number, v: number, alpha: number, rho: number): number {
  return estimate - bound(v, alpha, rho) / v
}

/** One-sided upper confidence bound at level `alpha` of an estimate with information `v`; holds at every look. */
export function upper(estimate: number, v: number, alpha: number, rho: number): number {
  return estimate + bound(v, alpha, rho) / v
}
