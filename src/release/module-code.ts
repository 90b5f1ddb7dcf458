import type { TreeFile } from "./tree.js"

/** A module of a release, ready to be imported: the very bytes that were verified. */
export interface ModuleCode {
  /** For messages: its path in the release. */
  readonly name: string
  readonly exported: string
  /** A `data:` URL: what is imported is what was read, on disk there is nothing to swap, and no other release has the same URL. */
  readonly url: string
}

/**
 * Modules that one process imports. Node.js cannot unload a module, so their number is bounded: with the largest file, 1 MiB, this is
 * some hundreds of MiB, and a process that swaps a release with one module each day lasts for months.
 */
export const MAX_MODULES = 100

/** Where they are in this process; one that is loaded again is the same. */
const imported = new Set<string>()

/** How many modules of releases this process has imported, and how many it may. */
export interface LoadedModules {
  readonly loaded: number
  readonly max: number
}

export const loadedModules = (): LoadedModules => ({ loaded: imported.size, max: MAX_MODULES })

/** Make room for a module that is imported next. False: there is none left. */
export function takeRoom({ url }: ModuleCode): boolean {
  if (!imported.has(url) && imported.size >= MAX_MODULES) return false
  imported.add(url)
  return true
}

/** Make the code of a file. Its last line names the release in stack traces, and keeps it apart from the same file in another release. */
export function moduleCode(
  { name, text }: TreeFile,
  exported: string,
  release: { readonly version: string; readonly digest: string },
): ModuleCode {
  const place = `serin:${release.version}/${encodeURI(name)}?${release.digest}`
  const source = Buffer.from(`${text}\n//# sourceURL=${place}\n`).toString("base64")
  return { name, exported, url: `data:text/javascript;base64,${source}` }
}
