import { stat } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { SerinError } from "../errors.js"
import { invalid } from "../release/problems.js"
import { openRelease } from "../release/open.js"
import { readTree } from "../release/read.js"
import { verifySignatures } from "../release/verify.js"
import type { Digests } from "../rollout/digests.js"
import type { RolloutSpec } from "../rollout/spec.js"
import { resolveTrust } from "../signing/trust.js"
import type { Problem } from "../errors.js"
import type { Trust } from "../signing/trust.js"
import { usage, type Values } from "./command.js"
import type { GATE_FLAGS } from "./gate.js"
import type { Io } from "./io.js"
import type { Place } from "./place.js"
import { readTrustedKeys } from "./trusted-keys.js"

/**
 * Read which releases a rollout means: digests of those that are there, a directory or packed, verified where keys are named. Undefined:
 * neither is, as where they are made in code. Rejects with `RELEASE_INVALID` and `RELEASE_UNTRUSTED`, and, for releases that were asked for by
 * `--releases`, `RELEASE_NOT_FOUND`.
 */
export async function pinsFor(
  verb: string,
  { stable, canary }: Pick<RolloutSpec, "stable" | "canary">,
  place: Pick<Place, "file">,
  { releases, keys, threshold, unpinned }: Values<typeof GATE_FLAGS>,
  io: Io,
): Promise<Digests | undefined> {
  const trust = resolveTrust(await readTrustedKeys(verb, { keys, threshold }, io))
  if (unpinned) {
    if (trust !== null)
      throw usage(`serin ${verb}: --unpinned says nothing of the releases, and --keys asks who signed them`)
    return {}
  }
  const root = releases === undefined ? join(dirname(place.file), "releases") : resolve(io.cwd, releases)
  const pins = { stable: await digestIn(root, stable, trust), canary: await digestIn(root, canary, trust) }
  const missing = pins.stable === undefined ? stable : pins.canary === undefined ? canary : undefined
  if (releases !== undefined && missing !== undefined) {
    throw new SerinError("RELEASE_NOT_FOUND", `there is no release ${missing} in ${releases}`)
  }
  return pins.stable === undefined && pins.canary === undefined ? undefined : pins
}

async function digestIn(root: string, version: string, trust: Trust | null): Promise<string | undefined> {
  for (const path of [join(root, version), join(root, `${version}.tgz`)]) {
    if ((await stat(path).catch(() => null)) === null) continue
    const from = await openRelease(path)
    const problems: Problem[] = []
    const { digest } = await readTree(from, { engines: null, version }, problems)
    if (digest === undefined || problems.length > 0) throw invalid("RELEASE_INVALID", path, problems)
    if (trust !== null) await verifySignatures(from, trust, { version, digest })
    return digest
  }
  return undefined
}
