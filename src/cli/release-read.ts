import { resolve } from "node:path"
import { rulesEngine } from "../engines/rules.js"
import { isSerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import { invalid } from "../release/document.js"
import { openRelease } from "../release/open.js"
import { readTree } from "../release/read.js"
import type { Tree } from "../release/read.js"
import { MANIFEST, SIGNATURES, treeDigest } from "../release/tree.js"
import type { ReleaseFiles, TreeFile } from "../release/tree.js"
import { MAX_PACKED_BYTES } from "../release/unpack.js"
import type { Io } from "./io.js"

/** A release at a path of the command line. */
export interface OpenedRelease {
  /** As it was asked for. */
  readonly shown: string
  /** Absolute. */
  readonly path: string
  readonly from: ReleaseFiles
  /** Its `release.dsse.json`, whatever it holds; null: it has none. */
  readonly signatures: TreeFile | null
}

/** Open a directory or a packed release. Rejects with `RELEASE_NOT_FOUND` and `RELEASE_INVALID`. */
export async function openAt(shown: string, io: Io): Promise<OpenedRelease> {
  const path = resolve(io.cwd, shown)
  const from = await openRelease(path)
  return { shown, path, from, signatures: await from.read(SIGNATURES, MAX_PACKED_BYTES, []) }
}

/** Read all of a release. Rejects with `RELEASE_INVALID`, which lists every problem. */
export async function treeOf({ shown, from }: OpenedRelease): Promise<Tree> {
  const problems: Problem[] = []
  const { manifest, files } = await readTree(from, { engines: null }, problems)
  if (manifest === undefined || files === undefined || problems.length > 0) {
    throw invalid("RELEASE_INVALID", shown, problems)
  }
  return { manifest, files, digest: treeDigest(files) }
}

/** Compile the rules, where it is known how. Answers whether it is. Throws `RULES_INVALID`. */
export function compileRules({ manifest, files }: Tree): boolean {
  if (manifest.engine !== "rules") return false
  const sources = files.filter(({ name }) => name !== MANIFEST)
  try {
    rulesEngine().compile(sources)
    return true
  } catch (error) {
    throw isSerinError(error) ? invalid("RELEASE_INVALID", "the rules", error.problems, error) : error
  }
}
