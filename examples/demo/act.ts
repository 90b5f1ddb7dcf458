import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { CELLS, cellIndex, COHORTS, embed, memoryStore } from "serin"
import { parseSpec } from "serin/rollout"
import type { Embedded, Evidence, Phase } from "serin"
import { replaySessions, type RecordedCall } from "serin/testing"
import { replayClock } from "./clock.js"
import { writeSafety } from "./files.js"
import { outcomeOf, type Outcome } from "./outcome.js"
import { printArms, printDiffs, printLine, printOpening, printText, printTransition, printVerdict } from "./print.js"
import type { Scenario } from "./scenarios.js"

export interface PlayOptions {
  readonly calls: readonly RecordedCall[]
  readonly seed: number
  readonly sessionsPerMinute: number
  /** Told at every look of the leader; for people who wait. */
  readonly onProgress: (progress: { readonly elapsedMs: number; readonly sessions: number }) => void
}

const START = Date.UTC(2026, 0, 5, 9)
/** The leader looks once a simulated minute. */
const LOOK_EVERY_MS = 60_000
/** Mean time between two calls of a session, ms. */
const MEAN_GAP_MS = 15_000
/** The curtain falls after so long, or after so many sessions if they take longer. */
const LONGEST_MS = 12 * 3_600_000
const MOST_SESSIONS = 12_000

/** Play one act in a folder of its own, and print it. */
export async function playAct(scenario: Scenario, options: PlayOptions): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "serin-demo-"))
  try {
    printOpening(scenario)
    const ending = await play(scenario, folder, options)
    const { verdict } = ending.state.last
    printArms(ending.evidence)
    if (verdict !== undefined) printVerdict(verdict)
    printDiffs(ending.diffs)
    const outcome = outcomeOf(ending, scenario.expected)
    printLine()
    printText(outcome.sentence)
    return outcome
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function play(scenario: Scenario, folder: string, options: PlayOptions) {
  const { calls, seed, sessionsPerMinute } = options
  const { rollout, releases } = await writeSafety(folder, scenario)
  const clock = replayClock({ startAt: START, seed })
  // A minute of traffic waits for the other arm at once, however much it is: nothing may be dropped. Simulated time is no time of a processor: no limit.
  // Files answer in no particular order, and each answer reads the clock.
  const store = memoryStore()
  const guard = await embed({
    rollout,
    releases,
    store,
    clock,
    shadow: { queue: Number.POSITIVE_INFINITY, cpuShare: 1 },
  })
  try {
    // `start: true` would do it, with a random salt. The same seed has to give the same sessions to the canary.
    const spec = parseSpec(await readFile(rollout, "utf8"), { path: rollout })
    const actor = { kind: "human", id: "demo" } as const
    await guard.act({ type: "start", spec, salt: `demo-${seed}`, actor, reason: "the demo begins" })

    const end = START + Math.max(LONGEST_MS, (MOST_SESSIONS / sessionsPerMinute) * 60_000)
    let look = START
    let before: Phase = guard.status().phase
    const tell = () => ({ elapsedMs: look - START, ...sessionsOf(guard.evidence()) })
    printTransition(guard.status().state, tell())

    for (const { at, sessionId, startedAt, call } of replaySessions(calls, {
      seed,
      sessionsPerMinute,
      startAt: START,
      meanGapMs: MEAN_GAP_MS,
    })) {
      while (at >= look + LOOK_EVERY_MS) {
        look += LOOK_EVERY_MS
        clock.moveTo(look)
        before = guard.status().phase
        await lookOnce(guard, (state) => printTransition(state, tell()))
        options.onProgress(tell())
        if (isOver(guard.status().phase) || look >= end) {
          const evidence = guard.evidence()
          return {
            state: guard.status().state,
            before,
            startedAt: START,
            at: look,
            ...tell(),
            evidence,
            diffs: guard.diffs(),
          }
        }
      }
      clock.moveTo(at)
      guard.session(sessionId, { startedAt }).evaluate(call)
    }
    throw new Error("the replay never ends")
  } finally {
    await guard.close()
  }
}

/** Have the leader look once, at all that was judged so far. */
async function lookOnce(guard: Embedded, onTransition: (state: ReturnType<Embedded["status"]>["state"]) => void) {
  const { revision } = guard.status().state
  await guard.idle()
  const { problem } = await guard.judge()
  if (problem !== undefined) throw new Error(`the leader could not judge: ${problem}`)
  const { state } = guard.status()
  if (state.revision !== revision) onTransition(state)
}

const isOver = ({ phase }: Phase): boolean => phase === "promoted" || phase === "rolled_back"

/** Sessions that were served, and those of them that the canary served. */
function sessionsOf({ strata }: Evidence): { readonly sessions: number; readonly canarySessions: number } {
  const at = CELLS.indexOf("sessions")
  const served = ([0, 1] as const).map((arm) => {
    let total = 0
    for (const { cells } of strata) {
      for (let cohort = 0; cohort < COHORTS; cohort++) total += cells[cellIndex(arm, cohort, at)] ?? 0
    }
    return total
  })
  return { sessions: (served[0] ?? 0) + (served[1] ?? 0), canarySessions: served[1] ?? 0 }
}
