import { randomUUID } from "node:crypto"
import { link, mkdir, open, readdir, stat, unlink } from "node:fs/promises"
import type { FileHandle } from "node:fs/promises"
import { hostname } from "node:os"
import { join } from "node:path"
import { SerinError } from "../errors.js"
import { FILE_MODE, FOLDER_MODE } from "./file-folder.js"
import { codeOf } from "./system-error.js"

/** Below the store's own folder. Nobody watches it: whatever is done to a draft wakes no process. */
const DRAFTS = ".drafts"
/** No write takes this long, ms; younger files belong to somebody. */
const YOUNG_MS = 60_000
/** Whoever wrote it, on whatever machine, is gone, ms. */
const OLD_MS = 3_600_000

/** This machine, as it may stand in the name of a file. */
const hostPart = (): string => hostname().replaceAll(/[^A-Za-z0-9-]/g, "-")
const DRAFT = /^(.+)-(\d+)-[0-9a-f]{8}$/

/**
 * Write `text` to `target`, a file of the store in the folder `root`, unless it is there; false when it is. Nobody ever sees a part of it:
 * the text is complete and on disk before the name appears.
 */
export async function publish(root: string, target: string, text: string): Promise<boolean> {
  const draft = join(root, DRAFTS, `${hostPart()}-${process.pid}-${randomUUID().slice(0, 8)}`)
  try {
    const handle = await openDraft(root, draft)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    return await claim(draft, target)
  } finally {
    await unlink(draft).catch(() => {})
  }
}

/** The folder of drafts is made with the first: it alone, so that a store that is gone does not come back. */
async function openDraft(root: string, draft: string): Promise<FileHandle> {
  try {
    return await open(draft, "wx", FILE_MODE)
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error
  }
  await mkdir(join(root, DRAFTS), { mode: FOLDER_MODE }).catch((error: unknown) => {
    if (codeOf(error) !== "EEXIST") throw error
  })
  return open(draft, "wx", FILE_MODE)
}

async function claim(draft: string, target: string): Promise<boolean> {
  try {
    await link(draft, target)
    return true
  } catch (error) {
    // On network file systems the answer to a link that worked can get lost; a second name tells (open(2), O_EXCL).
    const { nlink } = await stat(draft).catch((cause: unknown) => {
      throw new SerinError("STORE_AMBIGUOUS", `${target} may be written or not`, { cause })
    })
    if (nlink > 1) return true
    if (codeOf(error) === "EEXIST") return false
    throw error
  }
}

/** Remove what writers left that died between writing and publishing. */
export async function sweepDrafts(root: string): Promise<void> {
  const folder = join(root, DRAFTS)
  for (const name of await readdir(folder)) {
    const [, owner, pid] = DRAFT.exec(name) ?? []
    if (owner === undefined || pid === undefined) continue
    const path = join(folder, name)
    const ageMs = Date.now() - (await stat(path)).mtimeMs
    if (ageMs > OLD_MS || (ageMs > YOUNG_MS && owner === hostPart() && !isAlive(Number(pid)))) await unlink(path)
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) !== "ESRCH"
  }
}
