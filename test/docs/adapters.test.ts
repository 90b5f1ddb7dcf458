import { expect, it } from "vitest"
import { meaningTable, PAGE, resultsTable, rowsOf } from "../adapters/behaviours.js"
import { readPage, tableRows } from "./pages.js"

it(`docs/${PAGE} has every framework and every behaviour, as npm run docs:adapters writes them`, () => {
  const page = readPage(PAGE)
  const found = rowsOf(tableRows(page))
  expect(page.text).toContain(`\n${resultsTable(found)}\n\n${meaningTable()}\n`)
  expect([...found].filter(([, row]) => Object.values(row).some((cell) => cell === ""))).toEqual([])
})
