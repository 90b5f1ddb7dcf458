/**
 * Make a generator of numbers in [0, 1), multiples of 2^-32, from an integer seed in [0, 2^53).
 * "Small fast counting" by Chris Doty-Humphrey, public domain: PractRand, `RNGs/sfc.cpp`, `sfc32`; seeded as there, by the
 * seed's low and high word and twelve rounds. For simulation only: it keeps no secret.
 */
export function sfc32(seed: number): () => number {
  let a = 0
  let b = seed | 0
  let c = Math.floor(seed / 2 ** 32) | 0
  let counter = 1
  function next(): number {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  for (let i = 0; i < 12; i++) next()
  return next
}
