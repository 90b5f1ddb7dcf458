import { gunzipSync } from "node:zlib"
import type { Problem } from "../errors.js"
import { errorText } from "../model/error-text.js"
import type { SourceFile } from "../release/ports.js"

/** What a policy of OPA is made of. */
export interface OpaParts {
  readonly wasm: Uint8Array
  /** Undefined: there is none. */
  readonly data: object | undefined
}

/** Of what a bundle unpacks to, bytes: deflate shrinks to a thousandth. */
const MAX_UNPACKED_BYTES = 64 * 1024 * 1024
const BLOCK = 512
const KINDS =
  "list `policy.wasm`, and `data.json` if there is one, or the `bundle.tar.gz` that `opa build -t wasm` writes"

/** Read the files of a release: a module and its data, or a bundle of both. Null: what is wrong was pushed on `problems`. */
export function readOpaParts(files: readonly SourceFile[], problems: Problem[]): OpaParts | null {
  let wasm: Uint8Array | undefined
  let data: object | undefined

  function take(name: string, where: string, bytes: Uint8Array): void {
    if (name.endsWith(".wasm")) {
      if (wasm !== undefined) problems.push({ where, message: "is a second module", fix: "keep one" })
      wasm = bytes
    } else if (data !== undefined) problems.push({ where, message: "is more data", fix: "join it" })
    else data = readData(where, bytes, problems)
  }

  for (const { path, text, bytes } of files) {
    const content = bytes ?? (text === "" ? undefined : Buffer.from(text))
    if (content === undefined) problems.push({ where: path, message: "came without its bytes" })
    else if (/\.(wasm|json)$/.test(path)) take(path, path, content)
    else if (/\.(tar\.gz|tgz)$/.test(path)) {
      for (const { name, bytes: inside } of readBundle(path, content, problems)) take(name, `${path}:${name}`, inside)
    } else problems.push({ where: path, message: "is no file of OPA by its name", fix: KINDS })
  }
  if (wasm === undefined && problems.length === 0) {
    problems.push({
      where: files.map(({ path }) => path).join(", ") || "files",
      message: "there is no module",
      fix: KINDS,
    })
  }
  return wasm === undefined || problems.length > 0 ? null : { wasm, data }
}

interface Entry {
  readonly name: string
  readonly bytes: Uint8Array
}

/** The module and the data of a bundle. Rego beside them is what the module was made of, and is left aside. */
function readBundle(path: string, packed: Uint8Array, problems: Problem[]): Entry[] {
  let tar: Buffer
  try {
    tar = gunzipSync(packed, { maxOutputLength: MAX_UNPACKED_BYTES })
  } catch (error) {
    const message = `cannot be decompressed: ${errorText(error)}`
    problems.push({ where: path, message, fix: "build it again" })
    return []
  }
  const entries: Entry[] = []
  for (let at = 0; at + BLOCK <= tar.length && tar[at] !== 0;) {
    const header = tar.subarray(at, at + BLOCK)
    const name = nameIn(header).replace(/^\/+/, "")
    const size = Number.parseInt(textAt(header, 124, 12).trim() || "0", 8)
    const kind = String.fromCharCode(header[156]!)
    const end = at + BLOCK + size
    if (!Number.isSafeInteger(size) || size < 0 || end > tar.length) {
      problems.push({ where: path, message: "is cut off, or no tar", fix: "build it again" })
      return []
    }
    if (!["0", "\0", "5"].includes(kind)) {
      problems.push({
        where: path,
        message: `has an entry of the kind ${JSON.stringify(kind)}`,
        fix: "build it with opa",
      })
      return []
    }
    const base = name.split("/").at(-1) ?? ""
    if (name.endsWith(".wasm") || name === "data.json") entries.push({ name, bytes: tar.subarray(at + BLOCK, end) })
    // Left aside, it would be data that a policy misses.
    else if (base === "data.json" || base === "data.yaml") {
      problems.push({ where: `${path}:${name}`, message: "is not read", fix: "`opa build` writes one data.json" })
    }
    at = end + ((BLOCK - (size % BLOCK)) % BLOCK)
  }
  return entries
}

/** A long path has its first folders in a field of their own: without them, any `data.json` could pass for the bundle's own. */
function nameIn(header: Buffer): string {
  const name = textAt(header, 0, 100)
  const prefix = textAt(header, 257, 6) === "ustar" ? textAt(header, 345, 155) : ""
  return prefix === "" ? name : `${prefix}/${name}`
}

/** A text in a field of a header, up to the first NUL. */
function textAt(header: Buffer, from: number, length: number): string {
  const field = header.subarray(from, from + length)
  const end = field.indexOf(0)
  return field.subarray(0, end < 0 ? length : end).toString()
}

function readData(where: string, bytes: Uint8Array, problems: Problem[]): object | undefined {
  try {
    const data: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
    if (typeof data === "object" && data !== null && !Array.isArray(data)) return data
    problems.push({ where, message: "must be a JSON object" })
  } catch (error) {
    problems.push({ where, message: `is no JSON: ${errorText(error)}` })
  }
  return undefined
}
