import { promisify } from "node:util"
import { crc32, inflateRaw } from "node:zlib"
import type { InflateRaw } from "node:zlib"
import { unpackTar } from "modern-tar"
import { SerinError } from "../errors.js"
import { clip } from "./problems.js"
import { tarOf } from "./pack.js"
import { isPlainPath, MAX_PACKED_BYTES, SIGNATURES, treeFile } from "./tree.js"
import type { ReleaseFiles, TreeFile } from "./tree.js"

/** Of all that comes out of it, bytes. */
export const MAX_UNPACKED_BYTES = 64 * 1024 * 1024
/** A tar of small rule files shrinks to a tenth. Deflate reaches 1,032. */
const MAX_RATIO = 100
/** Below this nothing is a bomb, bytes. */
const ANY_RATIO_BYTES = 4 * 1024 * 1024
export const MAX_FILES = 1000
/** What a tar header of 1988 holds without extensions. */
const MAX_PATH_BYTES = 255

const HEADER_BYTES = 10
const TRAILER_BYTES = 8

/**
 * Unpack a release in memory; nothing is written to disk. Takes only what `packTree` makes: files with plain names, each once.
 * Rejects with `RELEASE_INVALID`, which names the first thing that is wrong.
 */
export async function packedFiles(packed: Uint8Array, place: string): Promise<ReleaseFiles> {
  const files = await untar(await gunzip(packed, place), place)
  const byName = new Map(files.map((file) => [file.name, file]))
  return {
    place,
    all: files.filter(({ name }) => name !== SIGNATURES),
    read(name, maxBytes, problems) {
      const file = byName.get(name)
      const message =
        file === undefined
          ? "is missing"
          : file.bytes.length > maxBytes
            ? `is larger than ${maxBytes / 1024} KiB`
            : null
      if (message === null) return Promise.resolve(file ?? null)
      problems.push({ where: `${place}/${name}`, message })
      return Promise.resolve(null)
    },
  }
}

interface Inflated {
  readonly buffer: Uint8Array
  /** Its `bytesWritten` is how much of the input was compressed data. */
  readonly engine: InflateRaw
}

/** Node's own reader of gzip takes members behind the first one and drops what follows them; here all bytes must be one member. */
async function gunzip(packed: Uint8Array, place: string): Promise<Uint8Array> {
  if (packed.length > MAX_PACKED_BYTES) throw refused(place, `is larger than ${MAX_PACKED_BYTES / 1024 / 1024} MiB`)
  const [magic1, magic2, method, flags] = packed
  if (magic1 !== 0x1f || magic2 !== 0x8b || method !== 8) throw refused(place, "is no gzip file")
  // A name, a comment or an extra field: `release pack` writes none.
  if (flags !== 0) throw refused(place, "has a gzip header with extras", REPACK)
  // Attack: a decompression bomb. zlib stops once so much came out; what came out until then is dropped.
  const room = Math.min(MAX_UNPACKED_BYTES, Math.max(ANY_RATIO_BYTES, packed.length * MAX_RATIO))
  const body = packed.subarray(HEADER_BYTES)
  let inflated: Inflated
  try {
    // With `info` the answer is not the buffer alone, which the types do not say.
    inflated = (await promisify(inflateRaw)(body, { info: true, maxOutputLength: room })) as unknown as Inflated
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined
    if (code === "ERR_BUFFER_TOO_LARGE") {
      throw refused(place, `unpacks to more than ${Math.floor(room / 1024)} KiB`, "a release is far smaller; split it")
    }
    throw refused(
      place,
      code === "Z_BUF_ERROR" ? "is cut off" : "is damaged: it cannot be decompressed",
      FETCH_AGAIN,
      cause,
    )
  }
  const { buffer, engine } = inflated
  const trailer = Buffer.from(body.buffer, body.byteOffset + engine.bytesWritten, body.length - engine.bytesWritten)
  if (trailer.length < TRAILER_BYTES) throw refused(place, "is cut off", FETCH_AGAIN)
  // Attack: a second archive behind the first, which another tool reads instead.
  if (trailer.length > TRAILER_BYTES)
    throw refused(place, `has ${trailer.length - TRAILER_BYTES} bytes behind its end`, REPACK)
  if (trailer.readUInt32LE(0) !== crc32(buffer) || trailer.readUInt32LE(4) !== buffer.length) {
    throw refused(place, "is damaged: its checksum is another", FETCH_AGAIN)
  }
  return buffer
}

async function untar(tar: Uint8Array, place: string): Promise<TreeFile[]> {
  const names = nameRegister(place)
  let entries: Awaited<ReturnType<typeof unpackTar>>
  try {
    // Each header is looked at before the next one is read.
    entries = await unpackTar(tar, {
      strict: true,
      filter({ name, type, pax }) {
        // Attack: a second header that gives an entry another name or size than the first one shows.
        if (pax !== undefined) throw refused(place, `${quote(name)} has an extended header`, REPACK)
        // Attacks: a link to a file of the machine, later written through; a device; a pipe that never ends.
        if (type !== "file")
          throw refused(place, `${quote(name)} is a ${type}, and a release holds files alone`, REPACK)
        names.take(name)
        return true
      },
    })
  } catch (error) {
    if (error instanceof SerinError) throw error
    throw refused(place, `is no tar: ${error instanceof Error ? error.message : "it cannot be read"}`, REPACK, error)
  }
  const read = entries.map(({ header, data }) => ({ name: header.name, bytes: data ?? new Uint8Array() }))
  // Whatever else there may be - headers that only some tools understand, names that come out otherwise, bytes in the padding, another
  // order, owners, modes - is in no tar that `release pack` makes of these files. So all tools read the same from what is taken.
  if (Buffer.compare(await tarOf(read), tar) !== 0)
    throw refused(place, "was not written by `serin release pack`", REPACK)
  return read.map(({ name, bytes }) => {
    const file = treeFile(name, `${place}/${name}`, bytes)
    if (file === null) throw refused(place, `${quote(name)} is not UTF-8`)
    return file
  })
}

/** Take the names of a release one by one; throws at the first that cannot stand beside the others. */
export function nameRegister(place: string): { take(name: string): void } {
  const taken = new Map<string, string>()
  const folders = new Map<string, string>()
  return {
    take(name) {
      // Attack: 100,000 entries, each cheap, all together not.
      if (taken.size >= MAX_FILES) throw refused(place, `holds more than ${MAX_FILES} files`)
      // Attacks: `../../etc/cron.d/x`, `/etc/passwd`, `C:\x`.
      if (!isPlainPath(name) || Buffer.byteLength(name) > MAX_PATH_BYTES) {
        throw refused(place, `${quote(name)} is no plain path of at most ${MAX_PATH_BYTES} bytes`)
      }
      // Attack: two names that are one file where case or Unicode form do not count: what was verified is not what is read.
      const key = foldCase(name)
      const other = taken.get(key) ?? folders.get(key)
      if (other !== undefined)
        throw refused(place, `${quote(name)} and ${quote(other)} are the same name on some machines`)
      taken.set(key, name)
      for (let slash = key.indexOf("/"); slash >= 0; slash = key.indexOf("/", slash + 1)) {
        const folder = key.slice(0, slash)
        const file = taken.get(folder)
        if (file !== undefined) throw refused(place, `${quote(file)} is a file and a folder`)
        folders.set(folder, name)
      }
    },
  }
}

/** Coarser than any file system: what is the same here is at least suspicious. */
const foldCase = (name: string): string => name.normalize("NFKD").toUpperCase().toLowerCase().normalize("NFKD")

const quote = (name: string): string => JSON.stringify(clip(name))
const REPACK = "pack it with `serin release pack`"
const FETCH_AGAIN = "copy or fetch it again"

function refused(place: string, message: string, fix?: string, cause?: unknown): SerinError {
  const problems = [{ where: place, message, ...(fix !== undefined && { fix }) }]
  return new SerinError("RELEASE_INVALID", `${place} ${message}`, { problems, cause })
}
