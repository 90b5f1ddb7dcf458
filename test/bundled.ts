import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { afterAll, beforeAll } from "vitest"

const root = fileURLToPath(new URL("..", import.meta.url))

/**
 * What starts a program of this project in a process of its own: a function from the path of its source, from the project's
 * root, to that of the JavaScript made of it. A process that compiled the sources itself would take two seconds.
 * The files lie where imports of packages find what is installed, and are deleted after the last test of the file.
 */
export function bundled(...sources: readonly string[]): (source: string) => string {
  let folder = ""
  beforeAll(async () => {
    const cache = join(root, "node_modules", ".cache")
    mkdirSync(cache, { recursive: true })
    folder = mkdtempSync(join(cache, "serin-"))
    await build({
      entryPoints: sources.map((source) => join(root, source)),
      outdir: folder,
      entryNames: "[name]",
      outExtension: { ".js": ".mjs" },
      bundle: true,
      splitting: true,
      packages: "external",
      platform: "node",
      format: "esm",
      target: "node20",
      logLevel: "error",
    })
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return (source) => join(folder, `${basename(source, ".ts")}.mjs`)
}
