import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { readPage, tableRows } from "./pages.js"

const PREFIX = "the failure table: "

describe("docs/guide/fleet.md", () => {
  it("has a row in the failure table for each test of that name, in order, and no other", () => {
    const rows = tableRows(readPage("guide/fleet.md"))
    const head = rows.findIndex(([, second]) => second === "who serves")
    const width = rows[head]?.length
    const table = rows.slice(head + 1).filter((cells) => cells.length === width)
    const test = readFileSync(new URL("../controller/failure-table.test.ts", import.meta.url), "utf8")
    // Each up to the next: one that is skipped, or has no test in it, is none.
    const groups = test.split(/^describe\("/m).slice(1)
    const tested = groups.flatMap((group) => {
      const name = group.slice(0, group.indexOf('", '))
      return name.startsWith(PREFIX) && /^ {2}it(\.each[^\n]*)?\(/m.test(group) ? [name.slice(PREFIX.length)] : []
    })
    expect(table.length).toBeGreaterThan(5)
    expect(table.map(([what = ""]) => what.split(": ")[0])).toEqual(tested)
  })
})
