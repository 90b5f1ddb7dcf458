import { mkdir, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import { SerinError } from "../errors.js"
import { whyUnwritten } from "../model/file-error.js"
import { writeWhole } from "../release/write-whole.js"

/** Write a file that must not be there. `shown`: the command and the file, for messages. Throws `USAGE`. */
export async function writeNew(
  path: string,
  text: string | Buffer,
  { shown, mode, folders = false }: { readonly shown: string; readonly mode?: number; readonly folders?: boolean },
): Promise<void> {
  try {
    if (folders) await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text, { flag: "wx", ...(mode !== undefined && { mode }) })
  } catch (cause) {
    throw unwritten(shown, cause)
  }
}

/** Write a file in the place of the one that is there, if any, and the folders above it; nobody ever reads half of it. Throws `USAGE`. */
export async function writeOver(path: string, content: string | Uint8Array, shown: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true })
    await writeWhole(path, content)
  } catch (cause) {
    throw unwritten(shown, cause)
  }
}

function unwritten(shown: string, cause: unknown): SerinError {
  const { code, syscall } = cause as NodeJS.ErrnoException
  // A folder that cannot be made because a file has its name.
  const why = syscall === "mkdir" && code === "EEXIST" ? "a part of its path is a file" : whyUnwritten(cause)
  return new SerinError("USAGE", `${shown} cannot be written: ${why}`, { cause })
}
