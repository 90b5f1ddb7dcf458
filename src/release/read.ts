import type { Problem } from "../errors.js"
import { readManifest } from "./manifest.js"
import type { Manifest } from "./manifest.js"
import { fileDigest, MANIFEST, MAX_FILE_BYTES, MAX_MANIFEST_BYTES, treeDigest } from "./tree.js"
import type { ReleaseFiles, TreeFile } from "./tree.js"

/** A release that was read and not built: nothing of it has run or was compiled. */
export interface Tree {
  readonly manifest: Manifest
  /** The manifest and what it names. */
  readonly files: readonly TreeFile[]
  readonly digest: string
}

/** Read the manifest and the files that it names. What is missing from the answer is told by `problems`. */
export async function readTree(
  from: ReleaseFiles,
  expected: Parameters<typeof readManifest>[1],
  problems: Problem[],
): Promise<Partial<Tree>> {
  const manifestFile = await from.read(MANIFEST, MAX_MANIFEST_BYTES, problems)
  if (manifestFile === null) return {}
  const manifest = readManifest(manifestFile, expected, problems)
  if (manifest === null) return {}
  const named: TreeFile[] = []
  for (const name of manifest.files) {
    const file = await from.read(name, MAX_FILE_BYTES, problems)
    if (file !== null) named.push(file)
  }
  checkDigests(manifest, named, problems)
  refuseStowaways(from, manifest, problems)
  const files = [manifestFile, ...named]
  return { manifest, files, digest: treeDigest(files) }
}

/** Damage, or half an update: a file that is not the one that the manifest was written for. */
function checkDigests({ digests }: Manifest, files: readonly TreeFile[], problems: Problem[]): void {
  for (const { name, path, bytes } of files) {
    const expected = digests?.get(name)
    const received = fileDigest(bytes)
    if (expected === undefined || expected === received) continue
    const message = `is ${received}, but \`digests\` in ${MANIFEST} says ${expected}`
    problems.push({ where: path, message, fix: "put the file back, or write its digest under a new version" })
  }
}

/** Attack: a file that nobody reads today, and that a later version of serin, or a path in a rule, picks up. */
function refuseStowaways({ all }: ReleaseFiles, manifest: Manifest, problems: Problem[]): void {
  const known = new Set([MANIFEST, ...manifest.files])
  for (const { name, path } of all ?? []) {
    if (known.has(name)) continue
    const message = `is in the release, but ${MANIFEST} does not name it`
    problems.push({ where: path, message, fix: "pack what the manifest names, and nothing else" })
  }
}
