import { unlink } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { SerinError } from "../errors.js"
import { refuseUnknown } from "../model/options.js"
import type { CasResult, StateStore, Versioned } from "../rollout/store.js"
import { checkKeep, checkWrite, keySegments, MAX_DOCUMENT_BYTES, refuseAborted } from "./document.js"
import {
  exists,
  fileOf,
  isRevisionFile,
  LAST_FILE,
  listKeys,
  makeFolder,
  mark,
  PRUNED,
  readRevision,
  readRevisions,
  remove,
  REMOVED,
  sweepRemoved,
  syncFolder,
} from "./file-folder.js"
import { publish, sweepDrafts } from "./file-publish.js"
import { watchFolder } from "./file-watch.js"
import { guarded } from "./system-error.js"

/** Options of `fileStore()`. */
export interface FileStoreOptions {
  /** Folder for the documents; made when the first is written. Several processes may share it, on one machine. */
  readonly dir: string
  /** Revisions of each document that are kept, 2 or more. Default 1,000. */
  readonly keep?: number | undefined
}

/**
 * Keep documents as folders of numbered revisions, `<dir>/<key>/0000000042.json`: history for free, and readable by people.
 * A write is durable when it is acknowledged. Processes of one machine may write at the same time: `link(2)` lets one of
 * them have each number. File systems without hard links (FAT, some network mounts) are refused with `STORE_UNAVAILABLE`.
 */
export function fileStore(options: FileStoreOptions): StateStore {
  refuseUnknown("fileStore", options, { dir: true, keep: true })
  const { dir, keep = 1000 } = options
  if (typeof dir !== "string" || dir === "") throw new TypeError("dir must be the path of a folder")
  checkKeep(keep)
  const root = resolve(dir)
  /** Newest revision of each key that went through this handle. */
  const seen = new Map<string, number>()
  /** Folders above these documents. */
  const known = new Set<string>()

  function see(key: string, folder: string, revision: number): void {
    seen.set(key, Math.max(revision, seen.get(key) ?? 0))
    for (let above = dirname(folder); above.length >= root.length && !known.has(above); above = dirname(above)) {
      known.add(above)
    }
  }

  function folderOf(key: string): string {
    const segments = keySegments(key)
    const taken = segments.find(isRevisionFile)
    if (taken !== undefined) throw new RangeError(`key must not contain the name of a revision, got ${taken}`)
    return join(root, ...segments)
  }

  /** Revision numbers, ascending. What was there and is gone is a failure: a wiped folder must not look like a fresh start. */
  async function revisionsOf(key: string, folder: string): Promise<readonly number[]> {
    const revisions = await readRevisions(folder)
    const newest = seen.get(key) ?? 0
    if (revisions.length === 0 && newest > 0) {
      if (await exists(join(folder, REMOVED))) {
        seen.delete(key)
        return revisions
      }
      throw new SerinError(
        "STORE_UNAVAILABLE",
        `${folder} is gone; revision ${newest} was in it. Restore it, or restart to begin anew`,
      )
    }
    return revisions
  }

  async function read(key: string, folder: string): Promise<Versioned | null> {
    // A revision can be pruned between the list and the read: many were written since, so the list is read again.
    for (let attempt = 0; attempt < 10; attempt++) {
      const newest = (await revisionsOf(key, folder)).at(-1)
      if (newest === undefined) return null
      const found = await readRevision(folder, newest)
      if (found === null) continue
      see(key, folder, newest)
      return found
    }
    throw new SerinError("STORE_UNAVAILABLE", `${folder} changes faster than it can be read`)
  }

  async function write(
    key: string,
    folder: string,
    revisions: readonly number[],
    envelope: string,
    kept: number,
  ): Promise<boolean> {
    const revision = (revisions.at(-1) ?? 0) + 1
    if (revision > LAST_FILE) throw new SerinError("STORE_UNAVAILABLE", `${folder} has no number left`)
    if (!(await publish(root, join(folder, fileOf(revision)), envelope))) return false
    await settle(folder, revision)
    // It is there again: if it is gone once more, nobody meant it.
    if (revision === 1) await remove(join(folder, REMOVED)).catch(() => {})
    see(key, folder, revision)
    await prune(folder, [...revisions, revision], kept)
    await sweepDrafts(root).catch(() => {})
    return true
  }

  return {
    caps: { push: true, linearizable: true, ack: "fsync", maxBytes: MAX_DOCUMENT_BYTES },

    async get(key, options) {
      const folder = folderOf(key)
      refuseAborted(options?.signal)
      return guarded(folder, () => read(key, folder))
    },

    async compareAndSet(key, expectedRevision, envelope, options): Promise<CasResult> {
      const folder = folderOf(key)
      checkWrite(expectedRevision, envelope, MAX_DOCUMENT_BYTES, options)
      return guarded(folder, async () => {
        refuseAborted(options?.signal)
        const revisions = await revisionsOf(key, folder)
        if ((revisions.at(-1) ?? 0) === expectedRevision) {
          // Only for the first: a folder that is gone must not come back with what is written next.
          if (expectedRevision === 0) await makeFolder(folder, known)
          refuseAborted(options?.signal)
          if (await write(key, folder, revisions, envelope, options?.keep ?? keep)) return { ok: true }
        }
        return { ok: false, current: await read(key, folder) }
      })
    },

    watch(key, hint, { signal }) {
      const folder = folderOf(key)
      const newest = async (): Promise<number> => (await readRevisions(folder)).at(-1) ?? 0
      const read = (revision: number): Promise<Versioned | null> => readRevision(folder, revision, { follow: false })
      const told = (found?: Versioned): void => {
        if (found !== undefined) see(key, folder, found.revision)
        hint(found)
      }
      watchFolder({ folder, newest, read, from: seen.get(key) ?? 0, hint: told, signal })
    },

    async *history(key, options) {
      const folder = folderOf(key)
      refuseAborted(options?.signal)
      const revisions = await guarded(folder, () => revisionsOf(key, folder))
      for (const revision of revisions.toReversed()) {
        refuseAborted(options?.signal)
        const found = await guarded(folder, () => readRevision(folder, revision))
        if (found !== null) yield found
      }
    },

    async list(under, options) {
      const folder = folderOf(under)
      refuseAborted(options?.signal)
      return guarded(folder, async () => (await listKeys(folder, under)).toSorted())
    },

    async remove(key, options) {
      const folder = folderOf(key)
      refuseAborted(options?.signal)
      await guarded(folder, async () => {
        const revisions = await readRevisions(folder)
        if (revisions.length === 0) return
        await mark(join(folder, REMOVED))
        for (const revision of revisions) await remove(join(folder, fileOf(revision)))
        await syncFolder(folder)
        seen.delete(key)
        await sweepRemoved(dirname(folder)).catch(() => {})
      })
    },
  }
}

/** Make sure that what was just linked is the newest revision, and that it survives a power cut. */
async function settle(folder: string, revision: number): Promise<void> {
  try {
    if (await isNew(folder, revision)) return await syncFolder(folder)
    await unlink(join(folder, fileOf(revision)))
  } catch (cause) {
    throw new SerinError("STORE_AMBIGUOUS", `${folder}: revision ${revision} may be written or not`, { cause })
  }
  throw new SerinError("STORE_AMBIGUOUS", `${folder}: revision ${revision} was written before, and is history by now`)
}

/**
 * Whether a number that was just linked had not been used and pruned while this process slept. Pruning goes upwards: as long as
 * the number below is there, this one was not pruned. Below 1 there is none; there, whoever prunes leaves a mark first.
 */
async function isNew(folder: string, revision: number): Promise<boolean> {
  if (revision > 1) return exists(join(folder, fileOf(revision - 1)))
  return !(await exists(join(folder, PRUNED))) || (await readRevisions(folder)).at(-1) === 1
}

/** Remove the oldest revisions. The write is done: whatever fails here is tried again with the next. */
async function prune(folder: string, revisions: readonly number[], keep: number): Promise<void> {
  try {
    if (revisions.length > keep) {
      await mark(join(folder, PRUNED))
      for (const revision of revisions.slice(0, -keep)) await remove(join(folder, fileOf(revision)))
    }
  } catch {
    // Upwards and no further than the first that fails: `isNew` relies on it.
  }
}
