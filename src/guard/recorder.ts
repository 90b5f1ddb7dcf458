import type { Call } from "../model/call.js"
import type { Decision, Scan } from "../model/decision.js"
import { isThenable } from "../model/thenable.js"
import type { Core } from "./core.js"
import type { Judged } from "./judge.js"
import type { Turn } from "./seat.js"
import type { GuardSession } from "./session.js"

/** The session that something happened in, as far as a record needs it. */
export interface Told {
  /** Empty: no session. */
  readonly sessionId: string
  /** Ms since the epoch. */
  readonly startedAt: number
}

/** Is told of everything that was decided, once for each. Never throws, and asks for nothing to be made for it: it takes what is there. */
export interface Recorder {
  /** False: do not prepare anything for this session. */
  wants(session: Told): boolean
  /** `own`: what the session's arm made of the call, by which its pair finds it. Null: nobody was asked. `ms`: of all evaluations. */
  decision(
    session: Told,
    turn: Turn<never>,
    call: unknown,
    decision: Decision,
    own: Judged | null,
    ms: number,
    callId?: string,
  ): void
  /** What the other arm made of a call that was decided. */
  pair(turn: Turn<never>, own: Judged, other: Judged): void
  /** `length`: of the text. */
  scan(session: Told, turn: Turn<never>, scan: Scan, direction: "input" | "output", length: number, ms: number): void
}

/** One recorder of those that are there; null: nobody is. */
export function recorderOf(recorders: readonly (Recorder | null)[]): Recorder | null {
  const all = recorders.filter((one) => one !== null)
  if (all.length < 2) return all[0] ?? null
  return {
    wants: (session) => all.some((one) => one.wants(session)),
    decision(...told) {
      for (const one of all) one.decision(...told)
    },
    pair(...told) {
      for (const one of all) one.pair(...told)
    },
    scan(...told) {
      for (const one of all) one.scan(...told)
    },
  }
}

/** Scan, and hand on what it came to: of the text its length alone. */
export function recordScan<C extends Call>(
  core: Core<C>,
  session: GuardSession<C>,
  direction: "input" | "output",
  text: unknown,
  scan: () => Scan | Promise<Scan>,
): Scan | Promise<Scan> {
  const { recorder, clock } = core
  if (recorder === null || !recorder.wants(session)) return scan()
  const turn = session.seat.look()
  const length = typeof text === "string" ? text.length : 0
  const startedAt = clock.monotonic()
  const tell = (done: Scan): Scan => {
    recorder.scan(session, turn, done, direction, length, clock.monotonic() - startedAt)
    return done
  }
  const answer = scan()
  return isThenable(answer) ? answer.then(tell) : tell(answer)
}
