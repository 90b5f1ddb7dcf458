import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { codeWords, firstColumn, readPage, tableRows } from "./pages.js"

const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly exports: Readonly<Record<string, unknown>>
  readonly peerDependencies: Readonly<Record<string, string>>
}
const page = readPage("reference/entries.md")

describe("docs/reference/entries.md", () => {
  it("has every published name, once, and no other", () => {
    const published = Object.keys(manifest.exports).map((subpath) => `serin${subpath.slice(1)}`)
    expect(firstColumn(page).toSorted()).toEqual(published.toSorted())
  })

  it("says of every optional package which entry needs it", () => {
    const needed = new Set(tableRows(page).flatMap(([, , needs = ""]) => codeWords(needs)))
    expect([...needed].toSorted()).toEqual(Object.keys(manifest.peerDependencies).toSorted())
  })
})
