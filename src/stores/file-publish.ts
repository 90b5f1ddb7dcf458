import { randomUUID } from "node:crypto"
import { link, open, readdir, stat, unlink } from "node:fs/promises"
import { hostname } from "node:os"
import { join } from "node:path"
import { SerinError } from "../errors.js"
import { codeOf } from "./system-error.js"

const FILE_MODE = 0o600
/** No write takes this long, ms; younger files belong to somebody. */
const YOUNG_MS = 60_000
/** Whoever wrote it, on whatever machine, is gone, ms. */
const OLD_MS = 3_600_000

const host = hostname().replaceAll(/[^A-Za-z0-9-]/g, "-")
const TEMPORARY = /^\.tmp-(.+)-(\d+)-[0-9a-f]{8}$/

/**
 * Write `text` under `name` unless the name is taken; false when it is. Nobody ever sees a part of it: the text is complete and
 * on disk before the name appears.
 */
export async function publish(folder: string, name: string, text: string): Promise<boolean> {
  const temporary = join(folder, `.tmp-${host}-${process.pid}-${randomUUID().slice(0, 8)}`)
  try {
    const handle = await open(temporary, "wx", FILE_MODE)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    return await claim(temporary, join(folder, name))
  } finally {
    await unlink(temporary).catch(() => {})
  }
}

async function claim(temporary: string, target: string): Promise<boolean> {
  try {
    await link(temporary, target)
    return true
  } catch (error) {
    // On network file systems the answer to a link that worked can get lost; a second name tells (open(2), O_EXCL).
    const { nlink } = await stat(temporary).catch((cause: unknown) => {
      throw new SerinError("STORE_AMBIGUOUS", `${target} may be written or not`, { cause })
    })
    if (nlink > 1) return true
    if (codeOf(error) === "EEXIST") return false
    throw error
  }
}

/** Remove what writers left that died between writing and publishing. */
export async function sweepTemporary(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const [, owner, pid] = TEMPORARY.exec(name) ?? []
    if (owner === undefined || pid === undefined) continue
    const path = join(folder, name)
    const ageMs = Date.now() - (await stat(path)).mtimeMs
    if (ageMs > OLD_MS || (ageMs > YOUNG_MS && owner === host && !isAlive(Number(pid)))) await unlink(path)
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
