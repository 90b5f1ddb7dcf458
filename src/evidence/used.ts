import { BLOCK, isEmptyBlock } from "../model/evidence.js"

/** Find the first cell from `from` on that is not 0; the length of the array when there is none. */
export function nextUsed(values: Float64Array | Uint32Array, from: number): number {
  return values instanceof Uint32Array ? nextCount(values, from) : nextSum(values, from)
}

function nextCount(counts: Uint32Array, from: number): number {
  let i = from
  while (i + BLOCK <= counts.length && isEmptyBlock(counts, i)) i += BLOCK
  while (i < counts.length && counts[i] === 0) i++
  return i
}

function nextSum(sums: Float64Array, from: number): number {
  let i = from
  while (i < sums.length && sums[i] === 0) i++
  return i
}
