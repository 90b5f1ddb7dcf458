import { createHash } from "node:crypto"
import type { Problem } from "../errors.js"
import type { SourceFile } from "./ports.js"

/** One file of a release, read once: the bytes that are hashed are the bytes that are used. */
export interface TreeFile extends SourceFile {
  /** Path in the release, with `/`. */
  readonly name: string
  readonly bytes: Uint8Array
}

/** Where the files of a release are read from: a directory, or a packed release that was unpacked in memory. */
export interface ReleaseFiles {
  /** For messages: the directory or the packed file. */
  readonly place: string
  /** All that the release holds, its signatures aside, already read; null where only the manifest tells what that is. */
  readonly all: readonly TreeFile[] | null
  /** Read a file of at most so many bytes. Null: it cannot be, and why was pushed on `problems`. Never rejects. */
  read(name: string, maxBytes: number, problems: Problem[]): Promise<TreeFile | null>
}

export const MANIFEST = "release.yaml"
/** Signatures of a release lie beside what they sign, and are no part of it. */
export const SIGNATURES = "release.dsse.json"
export const MAX_MANIFEST_BYTES = 64 * 1024
export const MAX_FILE_BYTES = 1024 * 1024
/** Of a packed release, bytes. */
export const MAX_PACKED_BYTES = 16 * 1024 * 1024

/**
 * Name files by their content: the sha-256 of a line `<sha-256 of the bytes>  <path>` for each, sorted by path:
 * what `sha256sum release.yaml rules.yaml | sha256sum` prints.
 */
export function treeDigest(files: readonly TreeFile[]): string {
  const lines = files.map(({ name, bytes }) => ({ name, line: `${sha256(bytes)}  ${name}\n` }))
  lines.sort((a, b) => (a.name < b.name ? -1 : 1))
  return fileDigest(lines.map(({ line }) => line).join(""))
}

/** The digest of one file, as `digests` in a manifest has it. */
export const fileDigest = (bytes: Uint8Array | string): string => `sha256:${sha256(bytes)}`

const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex")

/** Files for engines that read bytes. Whoever reads text finds none in them. */
const BINARY = /\.(wasm|gz)$/

/** Make a file of bytes. Null: they are no UTF-8, and are a text by their name. */
export function treeFile(name: string, path: string, bytes: Uint8Array): TreeFile | null {
  if (BINARY.test(name)) return { name, path, bytes, text: "" }
  try {
    return { name, path, bytes, text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) }
  } catch {
    return null
  }
}

/** Tell whether a path stays in the release. Attack: `../../etc/passwd`, `/etc/passwd`, `C:\\x`, `rules.yaml:stream` or a line break in a manifest. */
export function isPlainPath(path: string): boolean {
  return path.split("/").every((name) => name !== "" && name !== "." && name !== ".." && !UNSAFE.test(name))
}

// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\\:\u0000-\u001f]/
