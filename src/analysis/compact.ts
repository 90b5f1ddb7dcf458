import { ARRAYS, BINS, CELLS, COHORTS, createStratum, type Evidence, type Stratum } from "../model/evidence.js"

/** Counts of one array, in its order: a number from 0 on is a count, `-n` stands for n zeros, and zeros at the end are left out. */
export type Counts = readonly number[]

/** Evidence as JSON: most of its cells are zeros. Lossless for counts; `cohorts`, `bins` and `cells` say how the arrays are laid out. */
export interface CompactEvidence {
  readonly generation: number
  readonly cohorts: number
  readonly bins: number
  readonly cells: readonly string[]
  readonly strata: readonly CompactStratum[]
  readonly coarse?: Evidence["coarse"]
  readonly gap?: Evidence["gap"]
}
/** The counts of one stratum, array by array. */
export type CompactStratum = { readonly [K in keyof Stratum]: Counts }

const LAYOUT = { cohorts: COHORTS, bins: BINS, cells: CELLS } as const

/** Write evidence down. What it was read from may go on counting. */
export function compactEvidence({ generation, strata, coarse, gap }: Evidence): CompactEvidence {
  return { generation, ...LAYOUT, strata: strata.map(compactStratum), ...(coarse && { coarse }), ...(gap && { gap }) }
}

/** Tell whether this version lays its counts out in the same way. */
export function hasOwnLayout({ cohorts, bins, cells }: Omit<CompactEvidence, "strata" | "generation">): boolean {
  return cohorts === COHORTS && bins === BINS && cells.join() === CELLS.join()
}

/** Read evidence back. Throws a RangeError that names the array for what does not fit into it, and for another layout. */
export function expandEvidence(compacted: CompactEvidence): Evidence {
  if (!hasOwnLayout(compacted)) throw new RangeError("evidence: its counts are laid out in another way than here")
  const { generation, strata, coarse, gap } = compacted
  return { generation, strata: strata.map(expandStratum), coarse, gap }
}

function compactStratum(stratum: Stratum): CompactStratum {
  return Object.fromEntries(ARRAYS.map((name) => [name, compact(stratum[name])])) as unknown as CompactStratum
}

function expandStratum(counts: CompactStratum, index: number): Stratum {
  const stratum = createStratum()
  for (const name of ARRAYS) expand(counts[name], stratum[name], index, name)
  return stratum
}

function compact(values: Float64Array | Uint32Array): number[] {
  const counts: number[] = []
  let zeros = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    if (value === 0) {
      zeros += 1
      continue
    }
    // A count below 0 is none, and would read as zeros: the judge has refused it.
    if (!(value > 0 && value < Infinity)) throw new RangeError(`evidence: ${value} is no count`)
    if (zeros > 0) counts.push(-zeros)
    zeros = 0
    counts.push(value)
  }
  return counts
}

function expand(counts: Counts, into: Float64Array | Uint32Array, stratum: number, name: string): void {
  let at = 0
  for (const count of counts) {
    if (count < 0) {
      at -= count
    } else {
      into[at] = count
      // A fraction, or what is too large for the array, would be stored as another number.
      if (at >= into.length || into[at] !== count) throw misfit(stratum, name)
      at += 1
    }
    if (!Number.isSafeInteger(at) || at > into.length) throw misfit(stratum, name)
  }
}

const misfit = (stratum: number, name: string): RangeError =>
  new RangeError(`evidence.strata[${stratum}].${name}: its counts do not fit`)
