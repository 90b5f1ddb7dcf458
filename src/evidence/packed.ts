import { ARRAYS, LENGTHS, createStratum, type Evidence } from "../model/evidence.js"
import { nextUsed } from "./used.js"

/**
 * Evidence of one process as bytes: what a process can publish, and what many are merged from. Nearly all cells are 0, and only the
 * others are in it. Every number is a varint: seven bits to a byte, the lowest first, and 128 added to each byte but the last.
 *
 * - version, generation, number of strata;
 * - per stratum, and per array in the order of `ARRAYS`: for each cell that is not 0 its distance from the one before (the first: from
 *   the place before the array) and its count; then a 0.
 */
export interface PackedEvidence {
  readonly generation: number
  readonly bytes: Uint8Array
}

/** Stands for the format and for the layout of evidence: with another order of arrays, cells, cohorts or bins it is another one. */
export const PACKED_VERSION = 1

/** One from before the ramp, and one for each of its entries. */
const MAX_STRATA = 65
/** What a bin of a histogram holds. */
const MAX_COUNT = 2 ** 32 - 1

/** Pack evidence as it stands. Takes about a millisecond a stratum. Throws a RangeError for a cell that is no count. */
export function packEvidence({ generation, strata }: Evidence): PackedEvidence {
  const out = createWriter()
  out.write(PACKED_VERSION)
  out.write(generation)
  out.write(strata.length)
  for (const stratum of strata) for (const name of ARRAYS) writeArray(stratum[name], out)
  return { generation, bytes: out.bytes() }
}

/** Read what another process packed, once and to its end, so that no merge can fail half-way. Throws a RangeError for what `packEvidence` does not write. */
export function readPacked(bytes: Uint8Array): PackedEvidence {
  const from = open(bytes)
  if (from.strata > MAX_STRATA) throw malformed(`has ${from.strata} strata, and may have ${MAX_STRATA}`)
  for (let i = 0; i < from.strata; i++) for (const name of ARRAYS) readArray(from, LENGTHS[name])
  if (from.at !== bytes.length) throw malformed("goes on after its end")
  return { generation: from.generation, bytes }
}

/**
 * Add the evidence of many processes: as if all had been counted in one place, in whatever order. Throws a RangeError for another
 * generation than `generation`.
 */
export function mergePacked(generation: number, parts: Iterable<PackedEvidence>): Evidence {
  const cursors = Array.from(parts, ({ bytes }) => open(bytes))
  const other = cursors.find((from) => from.generation !== generation)
  if (other !== undefined) {
    throw new RangeError(`evidence of generation ${other.generation} cannot be added to that of ${generation}`)
  }
  const most = cursors.reduce((most, { strata }) => Math.max(most, strata), 0)
  const strata = Array.from({ length: most }, createStratum)
  // Array by array, and not process by process: one array fits into the processor's cache.
  strata.forEach((stratum, i) => {
    for (const name of ARRAYS) {
      for (const from of cursors) if (i < from.strata) readArray(from, LENGTHS[name], stratum[name])
    }
  })
  return { generation, strata }
}

/** A place in packed evidence, and what its beginning says. */
interface Cursor {
  readonly bytes: Uint8Array
  at: number
  generation: number
  strata: number
}

function open(bytes: Uint8Array): Cursor {
  const from: Cursor = { bytes, at: 0, generation: 0, strata: 0 }
  const version = readNumber(from)
  if (version !== PACKED_VERSION) throw malformed(`is of version ${version}, and here is ${PACKED_VERSION}`)
  from.generation = readNumber(from)
  from.strata = readNumber(from)
  return from
}

/** Read one array, and add it to `into`, if there is any. Millions of cells pass here: what is nearly always short is read without a call. */
function readArray(from: Cursor, length: number, into?: Float64Array | Uint32Array): void {
  const { bytes } = from
  let at = from.at
  let cell = -1
  for (;;) {
    let step = bytes[at++]!
    if (step === 0) break
    if (step > 127) {
      const second = bytes[at++]!
      step = (step & 127) | ((second & 127) << 7)
      // A third byte is the last: with more it would be further than any array is long.
      if (second > 127) step |= bytes[at++]! << 14
    }
    let count = bytes[at++]!
    if (count > 127) {
      from.at = at - 1
      count = readNumber(from)
      at = from.at
    }
    cell += step
    // Past the end of the bytes there is neither a step nor a count, and this is false.
    if (!(step > 0 && cell < length && count > 0)) throw malformed("has a cell that does not fit, or ends too early")
    if (into !== undefined) into[cell]! += count
  }
  from.at = at
}

function readNumber(from: Cursor): number {
  let value = 0
  for (let scale = 1; scale <= MAX_COUNT; scale *= 128) {
    const byte = from.bytes[from.at++]
    if (byte === undefined) throw malformed("ends too early")
    value += (byte & 127) * scale
    if (byte < 128 && value <= MAX_COUNT) return value
  }
  throw malformed(`has a number over ${MAX_COUNT}`)
}

function writeArray(values: Float64Array | Uint32Array, out: Writer): void {
  let last = -1
  for (let i = nextUsed(values, 0); i < values.length; i = nextUsed(values, i + 1)) {
    out.write(i - last)
    out.write(values[i]!)
    last = i
  }
  out.write(0)
}

type Writer = ReturnType<typeof createWriter>

function createWriter() {
  let bytes = new Uint8Array(4096)
  let at = 0
  return {
    write(value: number): void {
      if (!(Number.isInteger(value) && value >= 0 && value <= MAX_COUNT)) {
        throw new RangeError(`evidence: ${value} is no count from 0 to ${MAX_COUNT}`)
      }
      if (at + 5 > bytes.length) {
        const larger = new Uint8Array(2 * bytes.length)
        larger.set(bytes)
        bytes = larger
      }
      let rest = value
      for (; rest > 127; rest = Math.floor(rest / 128)) bytes[at++] = 128 | (rest % 128)
      bytes[at++] = rest
    },
    bytes: () => bytes.slice(0, at),
  }
}

const malformed = (what: string): RangeError => new RangeError(`packed evidence ${what}`)
