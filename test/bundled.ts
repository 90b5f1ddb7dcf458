import { rmSync } from "node:fs"
import { afterAll, beforeAll } from "vitest"
import { bundle } from "../scripts/bundle.js"

/**
 * What starts a program of this project in a process of its own: a function from the path of its source, from the project's
 * root, to that of the JavaScript made of it. The files are deleted after the last test of the file.
 */
export function bundled(...sources: readonly string[]): (source: string) => string {
  let made: Awaited<ReturnType<typeof bundle>> | undefined
  beforeAll(async () => {
    made = await bundle(sources)
  })
  afterAll(() => made && rmSync(made.folder, { recursive: true, force: true }))
  return (source) => {
    if (made === undefined) throw new Error("programs are there within tests only")
    return made.path(source)
  }
}
