import { afterEach, beforeEach, expect, it, vi } from "vitest"

const lines: string[] = []
beforeEach(() => void vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line)))
afterEach(() => vi.restoreAllMocks())

it("finds what was forgotten when rules were written again for other engines", async () => {
  await import("../../examples/engines.js")
  expect(lines).toEqual([
    "cedar: rolled_back newly_denied_rate_max",
    "get_invoice: allow by read → deny",
    "opa: rolled_back error_rate_delta_max",
    "get_order: allow by read → error",
    "get_invoice: allow by read → error",
    "authensor: rolled_back escalate_rate_delta_max",
    "refund: allow by refund → escalate by shop/refund",
  ])
})
