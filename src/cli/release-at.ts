import { stat } from "node:fs/promises"
import { resolve } from "node:path"
import { MODULES } from "../release/code-options.js"
import { buildRelease } from "../release/build.js"
import { releaseDirectory, resolveLoad } from "../release/load.js"
import { openRelease } from "../release/open.js"
import type { Release } from "../release/ports.js"
import type { LoadOptions } from "../release/load.js"
import { VERSION } from "../model/names.js"
import { choice, type Flags } from "./command.js"
import type { Io } from "./io.js"

/** For releases that bring code. */
export const MODULES_FLAG = {
  modules: {
    type: "string",
    value: MODULES.join("|"),
    text: "let releases bring code, which can do what you can, and say where it runs",
  },
} as const satisfies Flags

/** Read what `--modules` says. */
export const modulesOf = (text: string | undefined) => choice("modules", text, MODULES)

/**
 * Load a release that the command line names: a path, a directory or packed, or else a version below `root`. Rejects with
 * `RELEASE_NOT_FOUND`, `RELEASE_INVALID` and `RELEASE_UNTRUSTED`.
 */
export async function releaseAt(
  named: string,
  root: string,
  options: LoadOptions,
  { cwd }: Pick<Io, "cwd">,
): Promise<Release> {
  const path = resolve(cwd, named)
  const isThere = (await stat(path).catch(() => null)) !== null
  if (!isThere && VERSION.test(named)) return releaseDirectory(root, options).get(named)
  return buildRelease(await openRelease(path), resolveLoad(options), undefined)
}
