import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parsePage } from "./markdown.js"
import type { Page } from "./markdown.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Read a page of `docs/`. */
export const readPage = (name: string): Page => ({
  path: `docs/${name}`,
  text: readFileSync(`${root}docs/${name}`, "utf8"),
})

/** Cells of every row of every table of a page, without the dashes below a head. */
export function tableRows(page: Page): readonly (readonly string[])[] {
  return parsePage(page)
    .prose.split("\n")
    .filter((line) => line.startsWith("|") && !/^[|\s:-]+$/.test(line))
    .map((line) => line.slice(1, line.lastIndexOf("|")).split(/(?<!\\)\|/))
    .map((cells) => cells.map((cell) => cell.trim()))
}

/** Every `code` word of a text. */
export const codeWords = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "")

/** What stands in code in the first column of a page's tables. */
export const firstColumn = (page: Page): string[] => tableRows(page).flatMap(([first = ""]) => codeWords(first))

/** Whether a test writes what it found into its page, and holds the page to nothing: `SERIN_UPDATE_PAGES=1`. */
const updates = process.env["SERIN_UPDATE_PAGES"] === "1"

/** Give back the table of a page that has this head, as it is written there; where pages are brought up to date, after these rows were put into it. */
export function writtenTable(name: string, head: string, rows: readonly string[]): readonly string[] {
  const { text } = readPage(name)
  const lines = text.split("\n")
  const at = lines.indexOf(head)
  if (at < 0) throw new Error(`docs/${name} has no table with the head ${head}`)
  const from = at + 2
  const to = lines.findIndex((line, i) => i >= from && !line.startsWith("|"))
  if (updates) writeFileSync(`${root}docs/${name}`, lines.toSpliced(from, to - from, ...rows).join("\n"))
  return updates ? rows : lines.slice(from, to)
}

/**
 * Give back the first block of a page that begins with this line, below a heading, as it is written there; where pages are brought up to date, after this was
 * put in its place.
 */
export function writtenBlock(name: string, first: string, code: string, heading: string): string {
  const { path, text } = readPage(name)
  const below = text.indexOf(`\n${heading}\n`)
  const { blocks } = parsePage({ path, text: text.slice(below) })
  const block = blocks.find((one) => one.code === first || one.code.startsWith(`${first}\n`))
  if (below < 0 || block === undefined)
    throw new Error(`${path} has no block that begins with ${first} below ${heading}`)
  if (!updates) return block.code
  const written = text.slice(below).replace(`\n${block.code}\n`, () => `\n${code}\n`)
  writeFileSync(`${root}${path}`, text.slice(0, below) + written)
  return code
}
