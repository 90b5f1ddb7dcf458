import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"

/** Paths in a folder of this test file's own, removed after it. */
export function scratch(): (...names: string[]) => string {
  const root = mkdtempSync(join(tmpdir(), "serin-"))
  afterAll(() => rmSync(root, { recursive: true }))
  return (...names) => join(root, ...names)
}
