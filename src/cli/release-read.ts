import { resolve } from "node:path"
import { isSerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import { readDataParts } from "../release/data-parts.js"
import { invalid } from "../release/problems.js"
import { openRelease } from "../release/open.js"
import { readTree } from "../release/read.js"
import type { Tree } from "../release/read.js"
import { MAX_PACKED_BYTES, SIGNATURES, treeDigest } from "../release/tree.js"
import type { ReleaseFiles, TreeFile } from "../release/tree.js"
import { ownEngines } from "./engines.js"
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
export async function openAt(shown: string, io: Pick<Io, "cwd">): Promise<OpenedRelease> {
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

/** Files of the policy, in the order in which its engine gets them. */
export function policyFiles({ manifest, files }: Tree): TreeFile[] {
  return manifest.policyFiles.flatMap((name) => files.find((file) => file.name === name) ?? [])
}

/**
 * Compile the rules, where it is known how, the patterns and the thresholds, and hold the config to its schema. Answers whether the rules were compiled.
 * Throws `RELEASE_INVALID`, which lists every problem.
 */
export function compileTree(tree: Tree): boolean {
  const { manifest, files } = tree
  const problems: Problem[] = []
  const engine = ownEngines().find(({ name }) => name === manifest.engine)
  let compiled = engine !== undefined
  try {
    void engine?.compile(policyFiles(tree)).close?.()
  } catch (error) {
    if (!isSerinError(error)) throw error
    if (error.code === "LIBRARY_MISSING") compiled = false
    problems.push(...error.problems)
  }
  readDataParts(manifest, files, problems)
  if (problems.length > 0) throw invalid("RELEASE_INVALID", `release ${manifest.version}`, problems)
  return compiled
}
