import { readFile } from "node:fs/promises"

/** Read the version of this package from its manifest, which lies one or more directories up, in the sources as in the build. */
export async function readVersion(): Promise<string> {
  for (const up of ["../package.json", "../../package.json"]) {
    const text = await readFile(new URL(up, import.meta.url), "utf8").catch(() => "{}")
    const { name, version } = JSON.parse(text) as { name?: unknown; version?: unknown }
    if (name === "serin" && typeof version === "string") return version
  }
  throw new Error("the package.json of serin is missing")
}
