import { stat } from "node:fs/promises"
import { resolve } from "node:path"
import { rulesEngine } from "../engines/rules.js"
import { buildRelease, releaseDirectory, resolveLoad } from "../release/load.js"
import { openRelease } from "../release/open.js"
import type { Release } from "../release/ports.js"
import type { TrustedKeys } from "../release/trust.js"
import { VERSION } from "../rollout/names.js"
import type { Io } from "./io.js"

/**
 * Load a release that the command line names: a path, a directory or packed, or else a version below `root`. Rejects with
 * `RELEASE_NOT_FOUND`, `RELEASE_INVALID` and `RELEASE_UNTRUSTED`.
 */
export async function releaseAt(
  named: string,
  { root, trustedKeys }: { readonly root: string; readonly trustedKeys: TrustedKeys | undefined },
  { cwd }: Pick<Io, "cwd">,
): Promise<Release> {
  const engines = [rulesEngine()]
  const path = resolve(cwd, named)
  const isThere = (await stat(path).catch(() => null)) !== null
  if (!isThere && VERSION.test(named)) return releaseDirectory(root, { engines, trustedKeys }).get(named)
  return buildRelease(await openRelease(path), resolveLoad({ engines, trustedKeys }), undefined)
}
