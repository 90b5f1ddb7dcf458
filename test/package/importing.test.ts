import { execFile } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"

const run = promisify(execFile)
const root = fileURLToPath(new URL("../..", import.meta.url))
const PROGRAM = fileURLToPath(new URL("fixtures/importing.mjs", import.meta.url))
const BUSY = new URL("fixtures/busy.mjs", import.meta.url).href

const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly exports: Readonly<Record<string, { readonly default: string }>>
}
const entries = Object.values(exports).map((target) => pathToFileURL(join(root, target.default)).href)

/** Needs a build before it: `npm run build`. */
describe("an import", () => {
  it("adds no timer, no listener and no global, and asks the environment for nothing", async () => {
    if (!existsSync(join(root, "dist"))) throw new Error("dist/ is missing: run `npm run build` first")
    const { stdout } = await run(process.execPath, [PROGRAM, pathToFileURL(join(root, "dist/")).href, ...entries, BUSY])
    const told = JSON.parse(stdout) as Record<string, string[]>
    expect(told[BUSY]).toEqual(["globals: busy", "listeners: busy 1", "resources: Timeout", "environment: reads BUSY"])
    // Of zod: where its settings are, for every copy of it. Of Node.js 24: where its fetch() keeps connections, made with the first `Response`.
    const others = /^globals: (__zod_|Symbol\(undici\.)/
    const own = entries.map((entry) => [entry, told[entry]?.filter((what) => !others.test(what))])
    expect(own).toEqual(entries.map((entry) => [entry, []]))
  })
})
