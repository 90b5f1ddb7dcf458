import { afterEach, beforeEach, expect, it, vi } from "vitest"

const lines: string[] = []
beforeEach(() => void vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line)))
afterEach(() => vi.restoreAllMocks())

it("rolls out each of the five kinds of component, and back on the criterion that is about it", async () => {
  await import("../../examples/kinds.js")
  expect(lines).toEqual([
    "rules: rolled_back newly_denied_rate_max",
    "scanner patterns: rolled_back scan_flag_rate_delta_max",
    "monitor thresholds: rolled_back alert_rate_delta_max",
    "sdk: rolled_back newly_denied_rate_max",
    "config: promoted",
    expect.stringMatching(
      /^config that its schema refuses: not served: 1\.1\.0\/config\.yaml:1:6: `max`: .* received string/,
    ),
  ])
})
