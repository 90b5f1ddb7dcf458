import type { Coarse, Evidence, Stratum } from "../model/evidence.js"

/** A stratum with the share of the canary while its sessions started. */
export interface Ramped {
  readonly stratum: Stratum
  /** Its place in the evidence, for messages. */
  readonly index: number
  /** Basis points; null for sessions from before the ramp. */
  readonly weightBp: number | null
  readonly coarse?: Coarse | undefined
}

/** Join strata and ramp, in the order of time. */
export function rampStrata(
  { strata, coarse }: Evidence,
  ramp: readonly { readonly weightBp: number }[],
): readonly Ramped[] {
  return strata.map((stratum, index) => ({ stratum, index, weightBp: ramp[index - 1]?.weightBp ?? null, coarse }))
}

/** Both arms were served, at a constant share: what may be compared, and what SRM looks at. */
export function isSplit({ weightBp }: Ramped): boolean {
  return weightBp !== null && weightBp > 0 && weightBp < 10_000
}

/** The canary was served, perhaps alone. */
export function servesCanary({ weightBp }: Ramped): boolean {
  return weightBp !== null && weightBp > 0
}
