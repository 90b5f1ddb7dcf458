import { createGuard } from "serin"
import { initialState, parseSpec } from "serin/rollout"
import type { Call, Criterion, Outcome as Answer, Release, RolloutState } from "serin"
import { fakeClock } from "serin/testing"
import { randomOf } from "./random.js"
import { serin, type Outcome } from "./rollout.js"
import { sessionsOf, type World } from "./world.js"

const LOOK_MS = 5000
const ANSWERS: readonly Answer[] = ["allow", "deny", "escalate", "error"]

interface Scripted extends Call {
  readonly input: { readonly stable: number; readonly canary: number }
}

/** A release that answers what the call says that it would. */
function scripted(version: string, side: "stable" | "canary"): Release<Scripted> {
  return {
    version,
    policy: {
      evaluate(call) {
        const answer = ANSWERS[call.input[side]]!
        if (answer === "error") throw new Error("scripted")
        return answer
      },
    },
  }
}

/** The same as `rollout()`, but that every call goes through a guard, which hashes, serves, compares and counts. */
export async function guardedRollout(world: World, seed: number, criteria: readonly Criterion[]): Promise<Outcome> {
  const clock = fakeClock()
  const start = clock.now()
  const state = stateOf(world, seed, start)
  const guard = createGuard<Scripted>({
    rollout: "bench",
    state: { current: () => state, confirmedAt: () => clock.now(), onChange: () => () => {} },
    releases: new Map([
      ["1", scripted("1", "stable")],
      ["2", scripted("2", "canary")],
    ]),
    clock,
  })
  const method = serin(world, criteria)
  const calls = [...sessionsOf(world, randomOf(seed))]
    .flatMap((session, i) =>
      session.calls.map((call) => ({ call, id: `session-${seed}-${i}`, startMs: session.startMs })),
    )
    .sort((a, b) => a.call.atMs - b.call.atMs)
  let canaryCalls = 0
  const canarySessions = new Set<string>()
  let next = 0
  try {
    for (let ms = LOOK_MS; ms <= world.minutes * 60_000; ms += LOOK_MS) {
      for (; next < calls.length && calls[next]!.call.atMs < ms; next++) {
        const { call, id, startMs } = calls[next]!
        const session = guard.session(id, { startedAt: start + startMs })
        const { stable, canary } = call
        if (session.evaluate({ action: "simulated", input: { stable, canary } }).arm === "canary") {
          canaryCalls += 1
          canarySessions.add(id)
        }
      }
      clock.advance(LOOK_MS)
      await guard.idle()
      if (method.look({ minute: ms / 60_000, evidence: guard.evidence() }) !== "breach") continue
      const breachMinute = ms / 60_000
      return { breachMinute, passMinute: null, cause: method.cause, canaryCalls, canarySessions: canarySessions.size }
    }
  } finally {
    guard.close()
  }
  return { breachMinute: null, passMinute: null, cause: undefined, canaryCalls, canarySessions: canarySessions.size }
}

function stateOf(world: World, seed: number, now: number): RolloutState {
  const spec = parseSpec(
    'rollout: bench\nstable: "1"\ncanary:\n  release: "2"\n  acceptance_criteria: { deny_rate_delta_max: 0.02 }\n',
    { path: "bench.yaml" },
  )
  const idle = initialState(spec, now, `salt-${seed}`, { kind: "human", id: "bench" })
  const ramp = world.ramp.map(({ minute, weightBp }) => ({ at: now + minute * 60_000, weightBp, stage: 1 }))
  return { ...idle, generation: 1, canary: "2", ramp }
}
