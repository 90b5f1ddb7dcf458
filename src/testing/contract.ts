import type { Versioned } from "../rollout/store.js"

/** What the contract needs of a test framework; vitest, jest and bun:test have it. */
export interface TestFramework {
  describe(name: string, body: () => void): unknown
  it(name: string, body: () => Promise<void>, timeoutMs?: number): unknown
  expect(value: unknown): { toEqual(expected: unknown): unknown; toBe(expected: unknown): unknown }
}

/** Make what holds one requirement to a fixture of its own, and destroys that after it. */
export function eachOnItsOwn<F extends { destroy(): Promise<void> }>(
  driver: { create(): Promise<F> },
  it: TestFramework["it"],
  timeoutMs?: number,
): (requirement: string, body: (fixture: F) => Promise<void>) => void {
  return (requirement, body) => {
    const run = async (): Promise<void> => {
      const fixture = await driver.create()
      try {
        await body(fixture)
      } finally {
        await fixture.destroy()
      }
    }
    it(requirement, run, timeoutMs)
  }
}

/** What a document is, whatever its token. */
export const contents = (found: Versioned | null) => found && { revision: found.revision, envelope: found.envelope }

/** Texts that a careless store changes. */
export const TEXTS: readonly string[] = [
  "",
  "\uFEFFmark",
  "a\r\nb\nc\r",
  "ünï\u0000cødé",
  "🐤👩‍🚀",
  "e\u0301 é",
  '{"a": 1 }\n',
  "x".repeat(100_000),
]

/** Keys that could leave their place: in a folder, in an address. */
export const BAD_KEYS: readonly string[] = [
  "",
  "/",
  "a/",
  "/a",
  "a//b",
  "..",
  "a/../b",
  "a/..",
  ".hidden",
  "a b",
  "a\\b",
  "a\u0000",
  "é",
  "a?b",
  "a#b",
]
