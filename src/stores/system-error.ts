import { SerinError } from "../errors.js"
import { errorText } from "../model/error-text.js"

/** The system's name for what went wrong: `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined
  return typeof code === "string" ? code : undefined
}

/** Turn what the system says into what to do about it. */
export async function guarded<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof SerinError || cause instanceof RangeError) throw cause
    const fix = FIXES[codeOf(cause) ?? ""] ?? "check that it is a folder that this process may read and write"
    const message = errorText(cause)
    throw new SerinError("STORE_UNAVAILABLE", `${folder}: ${message}; ${fix}`, { cause })
  }
}

const FIXES: Readonly<Record<string, string>> = {
  EACCES: "give this process the right to read and write it",
  EPERM: "give this process the right to write it; the file system must have hard links",
  EROFS: "the file system is read-only: choose another folder",
  ENOTDIR: "a part of this path is a file: choose another folder",
  ENOSPC: "the disk is full: make room",
  ENOTSUP: "this file system has no hard links: choose a folder on another",
  ENOSYS: "this file system has no hard links: choose a folder on another",
  EMFILE: "too many files are open: raise the limit",
  ENOENT: "it was removed while it was in use",
  ERR_ENCODING_INVALID_ENCODED_DATA: "it is not UTF-8: this store did not write it",
}
