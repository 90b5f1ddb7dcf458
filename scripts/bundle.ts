import { mkdirSync, mkdtempSync } from "node:fs"
import { basename, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = fileURLToPath(new URL("..", import.meta.url))

/**
 * Make programs of sources, given from the project's root, that start in processes of their own: one that compiled the sources itself
 * would take two seconds. They lie in a new folder where imports of packages find what is installed; who made it deletes it.
 */
export async function bundle(
  sources: readonly string[],
): Promise<{ readonly folder: string; path(source: string): string }> {
  const cache = join(root, "node_modules", ".cache")
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, "serin-"))
  await build({
    entryPoints: sources.map((source) => join(root, source)),
    outdir: folder,
    entryNames: "[name]",
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    packages: "external",
    alias: { "serin/testing": join(root, "src/testing/index.ts"), serin: join(root, "src/index.ts") },
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
  })
  return { folder, path: (source) => join(folder, `${basename(source, ".ts")}.mjs`) }
}
