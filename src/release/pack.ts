import { promisify } from "node:util"
import { constants, gzip } from "node:zlib"
import { packTar } from "modern-tar"
import type { TreeFile } from "./tree.js"

/** Every byte of the ten of the gzip header is fixed: no time, no name, and 255 for the operating system, which zlib writes as it was built. */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])

/**
 * Pack files: the same files give the same bytes, on every machine. Files alone, sorted by path, without owner and time.
 * Compressed by run lengths and Huffman codes only (`Z_RLE`): zlib looks for other matches with hashes that differ by CPU and by
 * how Node.js was built, and then finds others. A tar is half padding, which is runs.
 */
export async function packTree(files: readonly TreeFile[]): Promise<Buffer> {
  const packed = await promisify(gzip)(await tarOf(files), { level: 9, strategy: constants.Z_RLE })
  GZIP_HEADER.copy(packed)
  return packed
}

/** The one tar that some files have. */
export async function tarOf(files: readonly Pick<TreeFile, "name" | "bytes">[]): Promise<Uint8Array> {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1))
  const mtime = new Date(0)
  return packTar(
    sorted.map(({ name, bytes }) => ({
      header: { name, size: bytes.length, type: "file", mode: 0o644, uid: 0, gid: 0, mtime },
      body: bytes,
    })),
  )
}
