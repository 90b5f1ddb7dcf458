import { readdir } from "node:fs/promises"
import { basename, dirname, join } from "node:path"

/**
 * List a file and those rotated away from it (`<path>.1`, `<path>.2.gz`, …), oldest first; empty when there are none. Rejects with the error of
 * the file system when the folder cannot be read.
 */
export async function rotatedFiles(path: string): Promise<string[]> {
  const folder = dirname(path)
  const name = basename(path)
  return (await readdir(folder))
    .flatMap((other) => {
      if (other === name) return [{ other, age: 0 }]
      const age = other.startsWith(`${name}.`) ? /^(\d+)(\.gz)?$/.exec(other.slice(name.length + 1))?.[1] : undefined
      return age === undefined ? [] : [{ other, age: Number(age) }]
    })
    .toSorted((a, b) => b.age - a.age)
    .map(({ other }) => join(folder, other))
}
