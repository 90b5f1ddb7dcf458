import { BINS, CELLS, COHORTS, type Evidence, type Stratum } from "../model/evidence.js"

/** Counts of one array, in its order: a number from 0 on is a count, `-n` stands for n zeros, and zeros at the end are left out. */
export type Counts = readonly number[]

/** Evidence as JSON: most of its cells are zeros. Lossless for counts; `cohorts`, `bins` and `cells` say how the arrays are laid out. */
export interface CompactEvidence {
  readonly generation: number
  readonly cohorts: number
  readonly bins: number
  readonly cells: readonly string[]
  readonly strata: readonly CompactStratum[]
}
export type CompactStratum = { readonly [K in keyof Stratum]: Counts }

const LAYOUT = { cohorts: COHORTS, bins: BINS, cells: CELLS } as const

const LENGTHS: { readonly [K in keyof Stratum]: number } = {
  cells: 2 * COHORTS * CELLS.length,
  pairs: COHORTS * 16,
  pairsAfter: COHORTS * 16,
  pairedSessions: COHORTS,
  latency: 2 * COHORTS * BINS,
  pairedLatency: 2 * COHORTS * BINS,
  scanLatency: 2 * COHORTS * BINS,
  scanPairs: COHORTS * 16,
  scanPairedSessions: COHORTS,
  pairedScanLatency: 2 * COHORTS * BINS,
}

/** Write evidence down. What it was read from may go on counting. */
export function compactEvidence({ generation, strata }: Evidence): CompactEvidence {
  return { generation, ...LAYOUT, strata: strata.map((stratum) => mapArrays((name) => compact(stratum[name]))) }
}

/** Tell whether this version lays its counts out in the same way. */
export function hasOwnLayout({ cohorts, bins, cells }: Omit<CompactEvidence, "strata" | "generation">): boolean {
  return cohorts === COHORTS && bins === BINS && cells.join() === CELLS.join()
}

/** Read evidence back. Throws a RangeError that names the array for what does not fit into it, and for another layout. */
export function expandEvidence(compacted: CompactEvidence): Evidence {
  if (!hasOwnLayout(compacted)) throw new RangeError("evidence: its counts are laid out in another way than here")
  const { generation, strata } = compacted
  return {
    generation,
    strata: strata.map((counts, i) => {
      const floats = (name: keyof Stratum) => expand(counts[name], new Float64Array(LENGTHS[name]), i, name)
      const whole = (name: keyof Stratum) => expand(counts[name], new Uint32Array(LENGTHS[name]), i, name)
      return {
        cells: floats("cells"),
        pairs: floats("pairs"),
        pairsAfter: floats("pairsAfter"),
        pairedSessions: floats("pairedSessions"),
        latency: whole("latency"),
        pairedLatency: whole("pairedLatency"),
        scanLatency: whole("scanLatency"),
        scanPairs: floats("scanPairs"),
        scanPairedSessions: floats("scanPairedSessions"),
        pairedScanLatency: whole("pairedScanLatency"),
      }
    }),
  }
}

function mapArrays<T>(make: (name: keyof Stratum) => T): { readonly [K in keyof Stratum]: T } {
  return {
    cells: make("cells"),
    pairs: make("pairs"),
    pairsAfter: make("pairsAfter"),
    pairedSessions: make("pairedSessions"),
    latency: make("latency"),
    pairedLatency: make("pairedLatency"),
    scanLatency: make("scanLatency"),
    scanPairs: make("scanPairs"),
    scanPairedSessions: make("scanPairedSessions"),
    pairedScanLatency: make("pairedScanLatency"),
  }
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

function expand<T extends Float64Array | Uint32Array>(counts: Counts, into: T, stratum: number, name: string): T {
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
  return into
}

const misfit = (stratum: number, name: string): RangeError =>
  new RangeError(`evidence.strata[${stratum}].${name}: its counts do not fit`)
