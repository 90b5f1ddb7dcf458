import type { VerdictRecord } from "../analysis/replay.js"
import type { Diff } from "../evidence/diffs.js"
import type { Processes } from "../evidence/processes.js"
import type { EvidenceSource } from "../evidence/source.js"
import type { Clock } from "../model/clock.js"
import { createListeners } from "../model/listeners.js"
import type { Verdict } from "../model/verdict.js"
import { isDecrease, isUnderWay, phaseOf } from "../rollout/phase.js"
import type { Actor, RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { transition } from "../rollout/transition.js"
import { DEADLINE_MS, inTime, withDeadlines } from "./deadline.js"
import { createElector } from "./elector.js"
import { createJudgement } from "./judgement.js"
import type { Judgement } from "./judgement.js"
import { errorText } from "../model/error-text.js"
import type { RecordName } from "./pending.js"
import { createRecords } from "./records.js"
import { createNotifier } from "./notifier.js"
import type { NotifyOptions } from "./notifier.js"
import type { Report } from "./report.js"
import { createReports } from "./reports.js"
import type { WritingFollower } from "./writing-follower.js"

export interface LeaderOptions {
  /** Where the election is held, and where reports and recorded verdicts go. The state is the follower's. */
  readonly store: StateStore
  readonly rollout: string
  readonly follower: WritingFollower
  readonly source: EvidenceSource
  readonly clock: Clock
  /** Its `id` must be this controller's alone, and new with each start: by it the holder of the lead is known. */
  readonly actor: Actor
  /** See {@link createElector}. Default 1,000 and 3,000. */
  readonly beatEveryMs?: number | undefined
  readonly takeoverAfterMs?: number | undefined
  /** Time between two looks at the evidence, ms. Looking often costs no false alarms. Default 5,000. */
  readonly everyMs?: number | undefined
  /** Longest wait for one answer of a store or the source, and for `close()`, ms. Default 2,000. */
  readonly deadlineMs?: number | undefined
  readonly diffs?: (() => readonly Diff[]) | undefined
  /** What the processes that serve say besides their counts: it may hold the rollout. */
  readonly processes?: (() => Processes) | undefined
  /** Whom to tell of what happens, while this controller leads. */
  readonly notify?: NotifyOptions | undefined
}

/**
 * Judges the evidence and moves the rollout: evidence → verdict → transition → compare-and-set, each write under the epoch of its lead.
 * While another controller leads, it only follows, and its own reports say so in `problem`. While nobody is known to lead, because the
 * store does not answer, it goes on judging: what it takes away then is in force in its own process alone.
 */
export interface Leader {
  /** Resolves when it is known who leads, or the store has failed to tell: the first tick waits for it. Never rejects. */
  readonly seated: Promise<void>
  /** Judge once, now. Never rejects; one at a time. */
  tick(): Promise<Report>
  /** Judge as `tick` does, and keep the verdict with all that it was made of; null when this process had nothing to judge. */
  record(): Promise<VerdictRecord | null>
  /** The last report; null before the first tick. */
  report(): Report | null
  /** Call `listener` after each look; the answer stops it. */
  onReport(listener: (report: Report) => void): () => void
  /** The epoch under which this controller leads at this very instant; null when it does not. */
  leading(): number | null
  /** Stop; resolves when the tick under way is over and the last report is written, or at the deadline. */
  close(): Promise<void>
}

/** Lead one rollout: ticks on the clock until closed. */
export function createLeader(options: LeaderOptions): Leader {
  const { rollout, follower, source, clock, actor, everyMs = 5000, deadlineMs = DEADLINE_MS } = options
  const store = withDeadlines(options.store, clock, deadlineMs)
  const records = createRecords(store, rollout)
  const reports = createReports(store, rollout)
  const judgement = createJudgement({ source, clock, deadlineMs, diffs: options.diffs })
  const reported = createListeners<Report>()
  let last: Report | null = null
  let running: Promise<Report> | null = null
  /** The lead for which the trip of the one before was taken over. */
  let inherited: number | null = null
  let recording: Promise<VerdictRecord | null> | null = null
  /** Someone waits for the record of the next look, whatever it moves. */
  let wanted = false
  const begun = clock.now()
  let closed = false
  let cancel = clock.schedule(next, everyMs)
  const elector = createElector({
    store: options.store,
    rollout,
    id: actor.id,
    clock,
    state: follower.current,
    beatEveryMs: options.beatEveryMs,
    takeoverAfterMs: options.takeoverAfterMs,
    onLead: () => void lead().catch(() => {}),
  })
  const notifier =
    options.notify &&
    createNotifier({
      ...options.notify,
      store,
      rollout,
      clock,
      leading: elector.leading,
      state: follower.current,
      everyMs,
    })
  const unheard = follower.onChange(() => notifier?.look())

  const seated = begin()

  function next(): void {
    void tick().then(() => {
      if (!closed) cancel = clock.schedule(next, everyMs)
    })
  }

  function tick(): Promise<Report> {
    running ??= look().finally(() => (running = null))
    return running
  }

  async function look(): Promise<Report> {
    await seated
    const led = elector.leading()
    const renewed = led === null ? renew() : Promise.resolve()
    const rival = elector.rival()
    let verdict: Verdict | null = null
    let problem = await lead().catch(errorText)
    await follower.settle()
    const state = follower.current()
    if (rival === null && state !== null && isCompared(state)) {
      try {
        const judged = await judgeNow(state, renewed)
        verdict = judged.verdict
        await judged.moved
      } catch (error) {
        problem = errorText(error)
      }
    }
    await renewed
    if (led === null && elector.leading() !== null) await follower.settle()
    const [unwritten] = follower.status().pending
    if (unwritten !== undefined)
      problem ??= `a ${unwritten.event} is in force here and not written: ${unwritten.message}`
    // Why nobody leads, and what is wrong with the state that is judged.
    if (rival === null && elector.leading() === null) problem ??= elector.problem()
    problem ??= follower.status().problem?.message
    problem ??= records.problem() ?? options.processes?.().problem ?? notifier?.problem()
    const kept = rival === null && last?.generation === state?.generation ? (last?.verdict ?? null) : null
    const report = reportOf(state, verdict ?? kept, problem)
    // Not waited for: a store that is slow with reports must not keep anybody from judging.
    if (elector.leading() !== null) void reports.offer(report)
    last = rival === null ? report : { ...report, problem: `${rival} judges this rollout; this process only follows` }
    reported.tell(last)
    notifier?.look()
    return last
  }

  async function begin(): Promise<void> {
    await elector.seated
    await lead().catch(() => {})
    if (elector.leading() === null) return
    // Not before what the last leader's report says is taken over: this one replaces it.
    const offer = (): void => void reports.offer(reportOf(follower.current(), null))
    await inherit().then(offer, () => {})
    notifier?.look()
  }

  /** A process that slept has lost its lead, and asks for it again while it judges. */
  async function renew(): Promise<void> {
    await elector.look()
    // A look that was under way while it slept had its time behind it.
    if (elector.leading() === null && elector.rival() === null) await elector.look()
  }

  /** The first write of a lead: the state bears its epoch, and whatever an earlier leader is about to write is too old. */
  async function lead(): Promise<string | undefined> {
    const epoch = elector.leading()
    const state = follower.current()
    if (epoch === null || state === null || !isCompared(state) || state.epoch === epoch) return undefined
    elector.fence(state)
    const event = { type: "lead", epoch, actor, reason: `${actor.id} leads` } as const
    await follower.act(event, elector.fence)
    return undefined
  }

  function reportOf(state: RolloutState | null, verdict: Verdict | null, problem?: string): Report {
    return {
      format: "serin/report/1",
      rollout,
      revision: follower.current()?.revision ?? 0,
      generation: state?.generation ?? 0,
      by: actor.id,
      at: clock.now(),
      since: begun,
      verdict,
      ...judgement.reported(state),
      problem,
    }
  }

  async function judgeNow(state: RolloutState, renewed: Promise<void>): ReturnType<Judgement["look"]> {
    await inherit()
    return judgement.look(state, ({ verdict, record }) => {
      // A rollback is in force before the record is made, and written after: its revision names the record.
      let name: string | undefined
      const moved = move(verdict, renewed, () => name)
      if (record !== null && (moved !== null || wanted)) name = records.keep(record)
      return moved
    })
  }

  /** What a leader knows besides the evidence is in its last report. */
  async function inherit(): Promise<void> {
    const epoch = elector.leading()
    if (source.lasting !== true || epoch === null || epoch === inherited) return
    judgement.inherit(await reports.lastKnown())
    inherited = epoch
  }

  /** Act on a verdict, where it changes anything; a decrease is in force when this returns. */
  function move(verdict: Verdict | null, renewed: Promise<void>, name?: RecordName): Promise<void> | null {
    const state = follower.current()
    if (state === null) return null
    const { releases, fuse } = options.processes?.() ?? { releases: "ready", fuse: null }
    const event = { type: "tick", actor, verdict, releases, fuse: fuse ?? undefined } as const
    const next = transition(state, event, clock.now())
    if (next === state) return null
    const write = (): Promise<unknown> => follower.act(event, elector.fence, name)
    return (isDecrease(state, next) ? write() : renewed.then(lead).then(write)).then(() => {})
  }

  function record(): Promise<VerdictRecord | null> {
    recording ??= recordNext().finally(() => (recording = null))
    return recording
  }

  async function recordNext(): Promise<VerdictRecord | null> {
    // A look that is under way may have judged already.
    await running
    const before = records.newest()
    wanted = true
    await tick()
    wanted = false
    await records.settle()
    const newest = records.newest()
    return newest === before ? null : newest
  }

  return {
    seated,
    tick,
    record,
    report: () => last,
    onReport: reported.add,
    leading: elector.leading,
    async close() {
      closed = true
      cancel()
      unheard()
      const told = notifier?.close()
      const ended = inTime(clock, deadlineMs, async () => {
        await running
        // What was taken away and could not be written yet: without the lead it may not be.
        await follower.settle()
        await records.settle()
        if (elector.leading() !== null) await reports.leave(last ?? reportOf(follower.current(), null))
        await told
        await elector.close()
      })
      await ended.catch(() => {})
      void elector.close()
    },
  }
}

const isCompared = (state: RolloutState): boolean => isUnderWay(phaseOf(state))
