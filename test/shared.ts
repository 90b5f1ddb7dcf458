import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = new URL("../../shared/", import.meta.url)

/** Absolute path of a file of the folder that stands beside a development checkout. */
export const sharedPath = (name: string): string => fileURLToPath(new URL(name, root))

/** False on a bare checkout: tests that read it are skipped, loudly. */
export const sharedIsThere = existsSync(sharedPath("vectors"))

/** Say how many tests are skipped and why. */
export function skipNote(count: number, what: string): void {
  if (!sharedIsThere) console.warn(`SKIPPED ${count}: ${what} needs ../shared, which is not there`)
}
