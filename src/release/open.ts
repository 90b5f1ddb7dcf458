import { constants } from "node:fs"
import { open, stat } from "node:fs/promises"
import { SerinError } from "../errors.js"
import { directoryFiles } from "./directory.js"
import { MAX_PACKED_BYTES } from "./tree.js"
import type { ReleaseFiles } from "./tree.js"
import { packedFiles } from "./unpack.js"

/**
 * Open a release, a directory or a packed file, without believing any of it.
 * Rejects with `RELEASE_NOT_FOUND` and, for a packed one, `RELEASE_INVALID`.
 */
export async function openRelease(path: string): Promise<ReleaseFiles> {
  const stats = await stat(path).catch(() => null)
  if (stats === null) throw new SerinError("RELEASE_NOT_FOUND", `there is no release at ${path}`)
  return stats.isDirectory() ? directoryFiles(path) : packedFiles(await readPacked(path), path)
}

/** A pipe does not block. Windows has no such flag. */
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/** Read a packed release, of which nothing is known yet. Rejects as `openRelease` does. */
export async function readPacked(path: string): Promise<Buffer> {
  const refuse = (message: string, cause?: unknown): never => {
    throw new SerinError("RELEASE_INVALID", `${path} ${message}`, { problems: [{ where: path, message }], cause })
  }
  try {
    const handle = await open(path, READ)
    try {
      const stats = await handle.stat()
      if (!stats.isFile()) return refuse("is neither a directory nor a file")
      if (stats.size > MAX_PACKED_BYTES) return refuse(`is larger than ${MAX_PACKED_BYTES / 1024 / 1024} MiB`)
      return await handle.readFile()
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (error instanceof SerinError) throw error
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
    if (code === "ENOENT") throw new SerinError("RELEASE_NOT_FOUND", `there is no release at ${path}`)
    return refuse(`cannot be read: ${code}`, error)
  }
}
