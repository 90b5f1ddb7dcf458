import { mkdir, writeFile } from "node:fs/promises"
import { dirname } from "node:path"
import { SerinError } from "../errors.js"
import { whyUnwritten } from "../model/file-error.js"

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
    // A folder that cannot be made because a file has its name.
    const isFile = folders && cause instanceof Error && "syscall" in cause && cause.syscall === "mkdir"
    const why =
      isFile && "code" in cause && cause.code === "EEXIST" ? "a part of its path is a file" : whyUnwritten(cause)
    throw new SerinError("USAGE", `${shown} cannot be written: ${why}`, { cause })
  }
}
