import { existsSync, readFileSync } from "node:fs"

/** The oldest Node.js that every framework here runs on. */
const OLDEST_NODE = 22

/**
 * Whether a package of `test/frameworks/package.json` is installed there and can run on this Node.js. With SERIN_REQUIRE_FRAMEWORKS=1 one that
 * cannot is a failure.
 */
export function hasFramework(name: string): boolean {
  const isInstalled = existsSync(new URL(`./node_modules/${name}/package.json`, import.meta.url))
  const isNew = Number(process.versions.node.split(".")[0]) >= OLDEST_NODE
  if (isInstalled && isNew) return true
  if (process.env["SERIN_REQUIRE_FRAMEWORKS"] === "1") {
    throw new Error(
      isNew ? `${name} is not installed in test/frameworks` : `${name} needs Node.js ${OLDEST_NODE} or newer`,
    )
  }
  return false
}

/** Say how many tests are skipped and why. */
export function skipNote(name: string, count: number): void {
  if (hasFramework(name)) return
  console.warn(`SKIPPED ${count}: these tests need Node.js ${OLDEST_NODE} and ${name}: npm ci --prefix test/frameworks`)
}

/** Import a file of an installed package; by its path, for a name would find what is installed for the project. */
export const importFramework = (file: string): Promise<unknown> =>
  import(/* @vite-ignore */ new URL(`./node_modules/${file}`, import.meta.url).href)

/** The version that is installed. */
export const versionOf = (name: string): string =>
  (
    JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url), "utf8")) as {
      version: string
    }
  ).version
