import { dirname } from "node:path"
import type { Call } from "../model/call.js"
import type { ReplayableRelease } from "../replay.js"
import type { GateReport } from "../rollout/gate.js"
import type { RolloutSpec } from "../rollout/spec.js"
import type { Shelf } from "../shelf.js"

/** Make the replay that a rollout's gate asks for, once. Loads both releases; `shelf` is null where there are none. */
export function replayOnce<C extends Call>(
  spec: RolloutSpec,
  path: string,
  shelf: Shelf<C> | null,
): () => Promise<GateReport> {
  let replayed: Promise<GateReport> | undefined
  return () => (replayed ??= replay())

  async function replay(): Promise<GateReport> {
    if (shelf === null) throw new TypeError("a gate needs releases, and embed() was given none")
    // Loaded only where there is a gate.
    const { gateCalls, replayForGate } = await import("../replay/gate.js")
    const both = { stable: await get(shelf, spec.stable), canary: await get(shelf, spec.canary) }
    return replayForGate(spec, gateCalls(spec, dirname(path)), both)
  }
}

async function get<C extends Call>(shelf: Shelf<C>, version: string): Promise<ReplayableRelease> {
  await shelf.require(version)
  // What the host's policies take has at least what a recorded call has: what else they need, a recording lacks.
  return shelf.releases.get(version) as unknown as ReplayableRelease
}
