import { isAbsolute, join } from "node:path"
import { replayCalls } from "../replay.js"
import type { ReplayableRelease, ReplayCallsOptions } from "../replay.js"
import type { GateReport } from "../rollout/gate.js"
import type { RolloutSpec } from "../rollout/spec.js"
import { streamCalls, type CallStream } from "../testing/call-stream.js"

/** Where the recorded calls of a gate are. `dir` is that of the rollout's file. */
export function gateCalls({ gate }: RolloutSpec, dir: string): string {
  if (gate === undefined) throw new RangeError("spec must have a gate, got none")
  return isAbsolute(gate.replay) ? gate.replay : join(dir, gate.replay)
}

/**
 * Make the replay that a rollout's gate asks for: whether it lets the rollout begin, the transition says. Rejects as `replayCalls`, and with `CALLS_INVALID`.
 */
export async function replayForGate(
  spec: RolloutSpec,
  path: string,
  releases: { readonly stable: ReplayableRelease; readonly canary: ReplayableRelease },
  options: Pick<ReplayCallsOptions, "signal" | "timeoutMs"> & {
    readonly onProgress?: ((done: number, calls: CallStream) => void) | undefined
  } = {},
): Promise<GateReport> {
  const calls = streamCalls(path, { digest: true })
  const { signal, timeoutMs, onProgress } = options
  const report = await replayCalls({
    ...releases,
    calls,
    criteria: spec.criteria,
    signal,
    timeoutMs,
    onProgress: onProgress && ((done) => onProgress(done, calls)),
  })
  return { ...report, recording: calls.digest() }
}
