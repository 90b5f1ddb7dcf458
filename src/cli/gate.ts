import { dirname, join, resolve } from "node:path"
import { releaseDirectory } from "../release/load.js"
import { gateCalls, replayForGate } from "../replay/gate.js"
import type { GateReport } from "../rollout/gate.js"
import type { RolloutSpec } from "../rollout/spec.js"
import type { Flags, Values } from "./command.js"
import { ENGINES_FLAG, enginesOf } from "./engines.js"
import type { Io } from "./io.js"
import type { Place } from "./place.js"
import { MODULES_FLAG, modulesOf } from "./release-at.js"
import { replayProgress } from "./replay-progress.js"
import { KEYS_FLAGS, readTrustedKeys } from "./trusted-keys.js"

export const GATE_FLAGS = {
  ...KEYS_FLAGS,
  ...MODULES_FLAG,
  ...ENGINES_FLAG,
  releases: {
    type: "string",
    value: "DIR",
    text: "the releases, to pin them and for a gate (default: releases/ beside the rollout file)",
  },
  unpinned: { type: "boolean", text: "do not write into the state which releases are meant, byte for byte" },
} as const satisfies Flags

/** Replay the recorded calls that a rollout's gate names; undefined: it has none. `verb` is for messages. */
export async function replayGate(
  verb: string,
  spec: RolloutSpec,
  place: Place,
  { releases, modules, keys, threshold, engines }: Values<typeof GATE_FLAGS>,
  io: Io,
): Promise<GateReport | undefined> {
  const trustedKeys = await readTrustedKeys(verb, { keys, threshold }, io)
  if (spec.gate === undefined) return undefined
  const dir = dirname(place.file)
  const root = releases === undefined ? join(dir, "releases") : resolve(io.cwd, releases)
  const source = releaseDirectory(root, {
    engines: await enginesOf(verb, engines, io),
    trustedKeys,
    modules: modulesOf(modules),
  })
  const both = { stable: await source.get(spec.stable), canary: await source.get(spec.canary) }
  const path = gateCalls(spec, dir)
  const progress = await replayProgress(path, io)
  try {
    return await replayForGate(spec, path, both, { signal: io.signal, onProgress: progress?.show })
  } finally {
    progress?.clear()
    await Promise.all(Object.values(both).map((release) => release.close?.()))
  }
}
