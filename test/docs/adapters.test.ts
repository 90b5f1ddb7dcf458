import { describe, expect, it } from "vitest"
import { BEHAVIOURS, explained } from "../adapters/contract.js"

describe("docs/reference/adapters.md", () => {
  it("explains every behaviour of the contract of adapters", () => {
    expect(explained()).toEqual(BEHAVIOURS)
  })
})
