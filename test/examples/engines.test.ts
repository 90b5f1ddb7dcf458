import { afterEach, beforeEach, expect, it, vi } from "vitest"

const lines: string[] = []
beforeEach(() => void vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line)))
afterEach(() => vi.restoreAllMocks())

it("finds what was forgotten when rules were written again for another engine", async () => {
  await import("../../examples/engines.js")
  expect(lines).toEqual(["rolled_back newly_denied_rate_max", "get_invoice: allow by read → deny by no policy"])
})
