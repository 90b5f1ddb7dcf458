import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath, pathToFileURL } from "node:url"
import { transform } from "esbuild"
import { afterAll } from "vitest"
import { parsePage } from "../docs/markdown.js"
import type { Block } from "../docs/markdown.js"
import { readPage } from "../docs/pages.js"

const installed = fileURLToPath(new URL("node_modules/", import.meta.url))

/** The block of the guide that imports this package: what a reader pastes. */
export function recipe(name: string): Block {
  const { blocks } = parsePage(readPage("guide/adapters.md"))
  const found = blocks.find(({ code }) => new RegExp(`from "${name}(/.*)?"`).test(code))
  if (found === undefined) throw new Error(`docs/guide/adapters.md has no block that imports ${name}`)
  return found
}

/** Run what stands on the page, as a module beside the packages that it imports, and answer its exports. */
export async function runRecipe(name: string): Promise<unknown> {
  const folder = mkdtempSync(`${installed}.serin-`)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const { code } = await transform(recipe(name).code, { loader: "ts" })
  writeFileSync(`${folder}/recipe.mjs`, code)
  return import(/* @vite-ignore */ pathToFileURL(`${folder}/recipe.mjs`).href)
}
