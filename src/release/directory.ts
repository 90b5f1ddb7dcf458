import { constants } from "node:fs"
import { open, realpath, stat } from "node:fs/promises"
import { isAbsolute, join, relative, sep } from "node:path"
import { SerinError } from "../errors.js"
import { treeFile } from "./tree.js"
import type { ReleaseFiles } from "./tree.js"

/** A link that is swapped in after its target was checked is not followed; a pipe does not block. Windows has neither flag. */
const READ = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

/** Read a release from a directory, which it cannot leave. Rejects with `RELEASE_NOT_FOUND` where none is. */
export async function directoryFiles(directory: string): Promise<ReleaseFiles> {
  if (!(await isDirectory(directory))) throw new SerinError("RELEASE_NOT_FOUND", `${directory} is no directory`)
  const root = await realpath(directory)
  return {
    place: directory,
    all: null,
    async read(name, maxBytes, problems) {
      const path = join(directory, name)
      const refuse = (message: string, fix?: string): null => {
        problems.push({ where: path, message, ...(fix !== undefined && { fix }) })
        return null
      }
      try {
        const real = await realpath(path)
        // Attack: a link in the release that points at a file of the machine, or at rules that others may write.
        // A link that stays inside is fine: mounted ConfigMaps are made of them.
        if (!isInside(root, real)) return refuse("is a link that leaves the release", "copy the file into the release")
        const handle = await open(real, READ)
        try {
          const stats = await handle.stat()
          if (!stats.isFile()) return refuse("is no file")
          if (stats.size > maxBytes) return refuse(`is larger than ${maxBytes / 1024} KiB`)
          return treeFile(name, path, await handle.readFile()) ?? refuse("is not UTF-8")
        } finally {
          await handle.close()
        }
      } catch (error) {
        const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
        return refuse(code === "ENOENT" || code === "ENOTDIR" ? "is missing" : `cannot be read: ${code}`)
      }
    },
  }
}

export async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
}

function isInside(root: string, path: string): boolean {
  const way = relative(root, path)
  return way !== "" && !isAbsolute(way) && way.split(sep)[0] !== ".."
}
