import { constants } from "node:fs"
import type { Dirent } from "node:fs"
import { mkdir, open, readdir, realpath, rmdir, stat, unlink } from "node:fs/promises"
import { dirname, join, sep } from "node:path"
import { SerinError } from "../errors.js"
import { textIn } from "../model/utf8.js"
import type { Versioned } from "../rollout/store.js"
import { isSegment, MAX_DOCUMENT_BYTES, versioned } from "./document.js"
import { codeOf } from "./system-error.js"

export const FOLDER_MODE = 0o700
export const FILE_MODE = 0o600
const REVISION = /^\d{10}\.json$/
/** Windows has none. */
const NOFOLLOW = (constants as Partial<typeof constants>).O_NOFOLLOW ?? 0
/** Says that revisions were taken away from below. */
export const PRUNED = ".pruned"
/** Says that a folder without revisions was emptied on purpose. */
export const REMOVED = ".removed"
/** Whoever had read a document that was removed knows by now, ms. */
const KNOWN_MS = 3_600_000

/** What ten digits can say. */
export const LAST_FILE = 9_999_999_999

export const fileOf = (revision: number): string => `${String(revision).padStart(10, "0")}.json`
export const isRevisionFile = (name: string): boolean => REVISION.test(name)
/** Read the number in a name; 0: it names no revision. */
export const revisionIn = (name: string): number => (isRevisionFile(name) ? Number.parseInt(name, 10) : 0)

/** Folders below a folder that hold a revision, as keys. */
export async function listKeys(folder: string, under: string): Promise<readonly string[]> {
  const keys: string[] = []
  for (const entry of await readFolder(folder)) {
    if (!entry.isDirectory() || !isSegment(entry.name)) continue
    const key = `${under}/${entry.name}`
    const below = join(folder, entry.name)
    if ((await readRevisions(below)).length > 0) keys.push(key)
    keys.push(...(await listKeys(below, key)))
  }
  return keys
}

export async function readRevisions(folder: string): Promise<readonly number[]> {
  const revisions: number[] = []
  for (const entry of await readFolder(folder)) {
    const revision = revisionIn(entry.name)
    // Not awaited for a file: there may be a thousand.
    if (revision > 0 && (entry.isFile() || (await isLinkWithin(folder, entry)))) revisions.push(revision)
  }
  return revisions.toSorted((a, b) => a - b)
}

/** A ConfigMap that is mounted is links into a folder below; a link that leads elsewhere is not looked at. */
async function isLinkWithin(folder: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return false
  try {
    const [root, file] = [await realpath(folder), await realpath(join(folder, entry.name))]
    return file.startsWith(root + sep) && (await stat(file)).isFile()
  } catch {
    return false
  }
}

async function readFolder(folder: string): Promise<readonly Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    if (codeOf(error) === "ENOENT") return []
    throw error
  }
}

/** Read one revision; null: it has been pruned. Without `follow` a link is a failure. */
export async function readRevision(
  folder: string,
  revision: number,
  { follow }: { readonly follow: boolean } = { follow: true },
): Promise<Versioned | null> {
  const path = join(folder, fileOf(revision))
  let handle
  try {
    handle = await open(path, constants.O_RDONLY | (follow ? 0 : NOFOLLOW))
    const { size } = await handle.stat()
    if (size > MAX_DOCUMENT_BYTES) {
      throw new SerinError("STORE_UNAVAILABLE", `${path} has ${size} bytes, at most ${MAX_DOCUMENT_BYTES} are read`)
    }
    const text = textIn(await handle.readFile())
    return versioned(revision, text)
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null
    throw error
  } finally {
    await handle?.close()
  }
}

/**
 * Make a folder and those above it. None is made that was `known` to be there: what somebody took away does not come back with the next
 * document. Every new folder is an entry of the one above it, which must survive a power cut as well.
 */
export async function makeFolder(folder: string, known: ReadonlySet<string>): Promise<void> {
  const missing: string[] = []
  let base = folder
  for (; !known.has(base) && base !== dirname(base); base = dirname(base)) missing.unshift(base)
  if (known.has(base)) {
    for (const next of missing) if (await makeOne(next)) await syncFolder(dirname(next))
    return
  }
  const first = await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made))
}

/** False: it is there already. */
async function makeOne(folder: string): Promise<boolean> {
  try {
    await mkdir(folder, { mode: FOLDER_MODE })
    return true
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false
    if (codeOf(error) !== "ENOENT") throw error
    throw new SerinError(
      "STORE_UNAVAILABLE",
      `${dirname(folder)} is gone; documents were in it. Restore it, or restart to begin anew`,
    )
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false
    throw error
  }
}

/** Leave a mark, which says something by being there. */
export async function mark(path: string): Promise<void> {
  await (await open(path, "a", FILE_MODE)).close()
}

/** Remove folders beside this one whose documents were removed long ago: processes come and go, and each leaves one. */
export async function sweepRemoved(above: string): Promise<void> {
  for (const entry of await readFolder(above)) {
    const folder = join(above, entry.name)
    const removed = entry.isDirectory() ? await stat(join(folder, REMOVED)).catch(() => null) : null
    if (removed === null || Date.now() - removed.mtimeMs < KNOWN_MS) continue
    if ((await readFolder(folder)).some(({ name }) => name !== REMOVED && name !== PRUNED)) continue
    for (const name of [PRUNED, REMOVED]) await remove(join(folder, name))
    // Not empty: somebody writes there now.
    await rmdir(folder).catch(() => {})
  }
}

/** Remove a file that another process may have removed already. */
export async function remove(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (codeOf(error) !== "ENOENT") throw error
  })
}

/** Folders cannot be synced on every system; where they can, a failure counts. */
export async function syncFolder(folder: string): Promise<void> {
  let handle
  try {
    handle = await open(folder, "r")
    await handle.sync()
  } catch (error) {
    if (!["EISDIR", "EPERM", "EINVAL", "ENOTSUP"].includes(codeOf(error) ?? "")) throw error
  } finally {
    await handle?.close()
  }
}
