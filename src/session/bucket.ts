import murmur from "murmurhash3js-revisited"
import { SerinError } from "../errors.js"
import { COHORTS } from "../model/evidence.js"

/** Buckets of the ramp: one basis point each. */
export const BUCKETS = 10_000

const encoder = new TextEncoder()
const x86 = murmur.x86

/**
 * Hash bytes with murmur3 x86 32, an unsigned 32-bit integer.
 * The library takes bytes: given a string it answers `undefined`, hence the type here.
 */
export function hash32(bytes: Uint8Array, seed = 0): number {
  return x86.hash32(bytes, seed)
}

/** Spread a 32-bit hash over `n` values by multiply-shift: all 32 bits count, and no modulo bias. */
const spread = (hash: number, n: number): number => Math.floor((hash * n) / 2 ** 32)

/** UTF-8 bytes of a salted id. The NUL keeps ("ab", "c") apart from ("a", "bc"). A lone surrogate becomes U+FFFD. */
function salted(salt: string, id: string): Uint8Array {
  if (id === "") throw new SerinError("SESSION_ID_INVALID", "session id must be a non-empty string, got an empty one")
  return encoder.encode(`${salt}\0${id}`)
}

/** Give the session's bucket on the ramp, 0–9 999: canary iff it is below the weight in basis points. */
export function bucketOf(salt: string, sessionId: string): number {
  return spread(hash32(salted(salt, sessionId)), BUCKETS)
}

/** Give the session's cohort, 0–63, by a hash that is independent of {@link bucketOf}. */
export function cohortOf(salt: string, sessionId: string): number {
  return spread(hash32(salted(`${salt}/cohort`, sessionId)), COHORTS)
}

/** Give the session's bucket for shadow sampling, 0–9 999, independent of the other two. */
export function shadowBucketOf(salt: string, sessionId: string): number {
  return spread(hash32(salted(`${salt}/shadow`, sessionId)), BUCKETS)
}

/** Give the session's place in the sampling of logs, in [0, 1). It depends on the rollout's name alone, so that it outlives every change of state. */
export function logHashOf(rollout: string, sessionId: string): number {
  return hash32(salted(`${rollout}/log`, sessionId)) / 2 ** 32
}
