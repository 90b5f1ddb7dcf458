import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { networkStoreContract } from "../../src/testing/network-contract.js"
import type { TestFramework } from "../../src/testing/contract.js"
import { storeContract } from "../../src/testing/store-contract.js"
import { readPage, tableRows } from "./pages.js"

/** Names of the tests that a contract would run, in order. */
function namesOf(contract: (framework: TestFramework) => void): readonly string[] {
  const names: string[] = []
  contract({ describe: (_, body) => body(), it: (name) => names.push(name), expect })
  return names
}

const never = async (): Promise<never> => Promise.reject(new Error("nothing is run"))
const first = namesOf((framework) => storeContract("", { create: never }, framework))
const network = namesOf((framework) => networkStoreContract("", { create: never, compacts: true }, framework))

describe("docs/reference/stores.md", () => {
  const rows = tableRows(readPage("reference/stores.md"))
  const head = rows.findIndex(([cell]) => cell === "requirement")
  const [, ...stores] = rows[head] ?? []
  const table = rows.slice(head + 1)

  it("lists every requirement of the contract, in order, and no other", () => {
    expect(table.map(([name]) => name)).toEqual([...first, ...network])
  })

  it.each(stores)("says which parts of the contract the tests hold %s to", (store) => {
    const column = table.map((cells) => cells[stores.indexOf(store) + 1])
    const test = readFileSync(new URL(`../contract/${store}-store.test.ts`, import.meta.url), "utf8")
    const isHeld = (name: string): boolean => {
      if (first.includes(name)) return /\bstoreContract\(/.test(test)
      return (
        /\bnetworkStoreContract\(/.test(test) && (!name.startsWith("compaction") || test.includes("compacts: true"))
      )
    }
    expect(column).toEqual([...first, ...network].map((name) => (isHeld(name) ? "✓" : "–")))
  })
})
