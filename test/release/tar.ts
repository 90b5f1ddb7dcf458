import { crc32, deflateRawSync } from "node:zlib"
import type { Content } from "./signing.js"

// Archives made byte by byte, so that they can be what no tool would write.

export interface Entry {
  readonly name: string
  readonly content?: string | Uint8Array
  /** Type flag: `0` a file, `1` a hard link, `2` a symlink, `3` a device, `5` a folder, `6` a pipe, `x` and `g` pax, `L` GNU. */
  readonly type?: string
  readonly linkname?: string
  /** What the header says, whatever the content is; a text is written as it is. */
  readonly size?: number | string
  readonly mode?: string
  readonly owner?: string
  readonly magic?: string
}

export function tar(entries: readonly Entry[], end: Uint8Array = new Uint8Array(1024)): Buffer {
  return Buffer.concat([...entries.flatMap(blocksOf), end])
}

function blocksOf({ name, content = "", type = "0", linkname = "", size, mode, owner, magic }: Entry): Buffer[] {
  const body = Buffer.from(content)
  const header = Buffer.alloc(512)
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`
  header.write(name, 0, 100)
  header.write(mode ?? octal(0o644, 8), 100)
  header.write(octal(0, 8), 108)
  header.write(octal(0, 8), 116)
  header.write(typeof size === "string" ? size : octal(size ?? body.length, 12), 124, 12, "latin1")
  header.write(octal(0, 12), 136)
  header.write(type, 156)
  header.write(linkname, 157, 100)
  header.write(magic ?? "ustar\u000000", 257, 8, "latin1")
  header.write(owner ?? "", 265, 32)
  header.fill(" ", 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148)
  return [header, body, Buffer.alloc(-body.length & 511)]
}

/** Files in the form that a packed release has. */
export function tarOf(files: Content): Buffer {
  const names = Object.keys(files).sort()
  return tar(names.map((name) => ({ name, content: files[name] ?? "" })))
}

/** Gzip without zlib's own header: its flags and what follows the end are ours to choose. */
export function gz(
  bytes: Uint8Array,
  { flags = 0, level = 9 }: { readonly flags?: number; readonly level?: number } = {},
): Buffer {
  const header = Buffer.from([0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255])
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(crc32(bytes), 0)
  trailer.writeUInt32LE(bytes.length % 2 ** 32, 4)
  return Buffer.concat([header, deflateRawSync(bytes, { level }), trailer])
}

export const pax = (records: Readonly<Record<string, string>>): string =>
  Object.entries(records)
    .map(([key, value]) => {
      const rest = ` ${key}=${value}\n`
      let length = rest.length
      while (length !== rest.length + String(length).length) length = rest.length + String(length).length
      return `${length}${rest}`
    })
    .join("")
