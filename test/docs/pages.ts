import { readFileSync } from "node:fs"
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
