import { describe, expect, it } from "vitest"
import { ERROR_CODES } from "../../src/errors.js"
import { firstColumn, readPage } from "./pages.js"

describe("docs/reference/errors.md", () => {
  it("explains every code, each once, and no other", () => {
    const explained = firstColumn(readPage("reference/errors.md")).filter((word) => /^[A-Z_]+$/.test(word))
    expect(explained).toEqual([...ERROR_CODES])
  })
})
