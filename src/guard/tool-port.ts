import type { Call } from "../model/call.js"
import type { Decision, Scan } from "../model/decision.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { isThenable } from "../model/thenable.js"
import type { Core } from "./core.js"
import { letGo } from "./judge.js"
import { readableOf } from "./readable.js"
import { refusalText, withheldText } from "./refusal.js"
import type { NotRun } from "./refusal.js"
import type { GuardSession, SessionOptions } from "./session.js"

/** A call of a tool, as the runtime tells of it. */
export interface ToolUse {
  readonly tool: string
  readonly input: unknown
  /** The runtime's id of the call: approval, execution and resume are then one call, judged once. */
  readonly callId?: string | undefined
}

/** A session's id, alone or with what is known of the session. */
export type SessionRef = string | ({ readonly id: string } & SessionOptions)

/** Asks a person. Anything but `true`, a throw and a rejection are a no. It is asked once for each decision. */
export type Channel<C extends Call = Call> = (decision: Decision, call: C) => boolean | Promise<boolean>

/** What every adapter can be told. `X` is what its runtime hands over with a call. */
export interface ToolPortOptions<C extends Call, X> {
  /**
   * The session of the calls, or what finds it in what the runtime hands over. Without one, or when it answers `undefined`: the runtime's
   * own id, then the session of the `withSession` around the call, then none. A throw counts as none.
   */
  readonly session?: SessionRef | ((context: X) => SessionRef | undefined) | undefined
  /** The call that is judged. Default `{ action: tool, input }`. Where it throws, the tool is not run. */
  readonly call?: ((use: ToolUse, context: X) => C) | undefined
  /**
   * What `escalate` means: ask with a function; `deny`; `allow`; or `ask`, the runtime's own approval, where it has one (then that is the
   * default, else `deny`). The outcome is told as the event `escalation`.
   */
  readonly escalate?: "ask" | "deny" | "allow" | Channel<C> | undefined
  /** Have the output scanned before it is handed on. Default false. */
  readonly scanOutput?: boolean | undefined
}

interface Judgement<C extends Call> {
  readonly use: ToolUse
  /** Empty: it belongs to no session. */
  readonly sessionId: string
  /** Null, as the decision: it could not be put to the guard. */
  readonly call: C | null
  readonly decision: Decision | null
}

interface Judged<C extends Call> extends Judgement<C> {
  readonly call: C
  readonly decision: Decision
}

/** What is to become of a call. Only a runtime with an approval of its own is ever told to `ask`. */
export type Ruling<C extends Call = Call> =
  | (Judged<C> & { readonly kind: "run" })
  /** `reason`: for the person who is asked; undefined: the policy gave none. */
  | (Judged<C> & { readonly kind: "ask"; readonly reason: string | undefined })
  /** `reason`: for the model. */
  | (Judgement<C> & { readonly kind: "refuse"; readonly why: NotRun; readonly reason: string })

/** An output that may be handed on, perhaps with something masked; or why not, for the model. */
export type Passed =
  | { readonly kind: "pass"; readonly value: unknown }
  | { readonly kind: "withhold"; readonly scan: Scan | null; readonly reason: string }

/** Through which an adapter asks about calls of tools. Nothing here throws or rejects. */
export interface ToolPort<C extends Call, X> {
  /**
   * Judge a call: again with the same session and call id, the same answer. A value at once in a synchronous guard, unless a channel was
   * asked that answers later. `own`: the runtime's own id of the session.
   */
  decide(use: ToolUse, context: X, own?: string): Ruling<C> | Promise<Ruling<C>>
  /** Go on after the runtime has asked a person; a ruling that is not `ask` stays what it is. */
  answered(ruling: Ruling<C>, approved: boolean): Ruling<C>
  /** Scan an output, if that is asked for; a value at once in a synchronous guard. An empty `sessionId`: it belongs to no session. */
  pass(ruling: Pick<Ruling<C>, "use" | "sessionId">, output: unknown): Passed | Promise<Passed>
  /** Whether outputs are scanned. */
  readonly scans: boolean
  /** What `escalate` is now: with `ask`, the runtime is to ask a person. */
  readonly asks: boolean
  /** Tell of tools that are not run here, so that nobody asks about their calls. */
  unguarded(tools: readonly string[]): void
}

const PORT_KEYS: KeysOf<ToolPortOptions<Call, unknown>> = {
  session: true,
  call: true,
  escalate: true,
  scanOutput: true,
}

/**
 * What was said to a decision, or will be, also through another port: an adapter may ask in two places. The same call asked again has the same
 * decision, the object itself; another call never has, so that no answer is taken for that to another question.
 */
const ANSWERS = new WeakMap<Decision, { readonly escalate: unknown; readonly answer: boolean | Promise<boolean> }>()
/** What a runtime was told to ask about: it may hear so more than once of one call. */
const ASKED = new WeakSet<Decision>()

/** Make the port of one adapter. `asks`: its runtime has an approval of its own. Throws `TypeError` for options that there are not. */
export function createToolPort<C extends Call, X>(
  core: Core<C>,
  sessionOf: (ref?: SessionRef) => GuardSession<C>,
  current: () => GuardSession<C>,
  name: string,
  options: ToolPortOptions<C, X> = {},
  asks = false,
): ToolPort<C, X> {
  refuseUnknown(name, options, PORT_KEYS)
  const escalate = options.escalate ?? (asks ? "ask" : "deny")
  const words = asks ? ["ask", "deny", "allow"] : ["deny", "allow"]
  if (typeof escalate !== "function" && !words.includes(escalate)) {
    throw new TypeError(`${name}: escalate must be a function, ${words.join(" or ")}, got ${String(escalate)}`)
  }
  function find(context: X, own: string | undefined): GuardSession<C> {
    const { session } = options
    try {
      const found = typeof session === "function" ? session(context) : session
      letGo(found)
      if (found !== undefined) {
        if (typeof found !== "string" && typeof found.id !== "string") throw new TypeError("it answers no id")
        return sessionOf(found)
      }
    } catch (error) {
      core.misuse("session", () => `session of ${name} throws, so such calls belong to none: ${String(error)}`)
      return sessionOf()
    }
    return own === undefined || own === "" ? current() : sessionOf(own)
  }

  const run = (judged: Judged<C>): Ruling<C> => ({ ...judged, kind: "run" })
  const refuse = (judged: Judgement<C>, why: NotRun): Ruling<C> => {
    return { ...judged, kind: "refuse", why, reason: refusalText(judged.use.tool, why, judged.decision) }
  }

  const about = ({ use, call, sessionId, decision }: Judged<C>) => ({ sessionId, callId: use.callId, call, decision })

  function tell(judged: Judged<C>, told: Told): boolean {
    core.traces?.escalation({ ...about(judged), ...told })
    core.emit({ type: "escalation", ...about(judged), ...told })
    return told.approved
  }

  /** Answer without asking anybody, or ask the host's channel. */
  function ask(escalated: Judged<C>): boolean | Promise<boolean> {
    if (typeof escalate !== "function") return tell(escalated, { approved: escalate === "allow", by: "default" })
    core.traces?.escalation({ ...about(escalated), by: "channel" })
    const heard = (said: unknown): boolean => tell(escalated, { approved: said === true, by: "channel" })
    const failed = (error: unknown): boolean => tell(escalated, { approved: false, by: "channel", error })
    try {
      const said: unknown = escalate(escalated.decision, escalated.call)
      return isThenable(said) ? Promise.resolve(said).then(heard, failed) : heard(said)
    } catch (error) {
      return failed(error)
    }
  }

  /** Undefined: nobody was asked, or by another way than this port's. */
  function answerTo(decision: Decision): boolean | Promise<boolean> | undefined {
    const before = ANSWERS.get(decision)
    return before?.escalate === escalate ? before.answer : undefined
  }

  function rule(judged: Judged<C>): Ruling<C> | Promise<Ruling<C>> {
    const { outcome, reason } = judged.decision
    if (outcome === "allow") return run(judged)
    if (outcome === "deny") return refuse(judged, "denied")
    if (escalate === "ask") {
      if (!ASKED.has(judged.decision)) core.traces?.escalation({ ...about(judged), by: "runtime" })
      ASKED.add(judged.decision)
      return { ...judged, kind: "ask", reason }
    }
    const no = typeof escalate === "function" ? "unapproved" : "unattended"
    const conclude = (approved: boolean): Ruling<C> => (approved ? run(judged) : refuse(judged, no))
    const answer = answerTo(judged.decision) ?? ask(judged)
    ANSWERS.set(judged.decision, { escalate, answer })
    return typeof answer === "boolean" ? conclude(answer) : answer.then(conclude)
  }

  return {
    scans: options.scanOutput === true,
    asks: escalate === "ask",
    unguarded(tools) {
      if (tools.length === 0) return
      core.misuse("unguarded_tools", () => `${name}: not run here, so not guarded: ${tools.join(", ")}`)
    },
    decide(use, context, own) {
      const session = find(context, own)
      const { sessionId } = session
      const lost = { use, sessionId, call: null, decision: null }
      let call: C
      try {
        const { tool: action, input } = use
        call = options.call === undefined ? ({ action, input } as unknown as C) : options.call(use, context)
      } catch (error) {
        core.misuse("tool_call", () => `call of ${name} throws, so such calls are refused: ${String(error)}`)
        return refuse(lost, "denied")
      }
      try {
        const { callId } = use
        const decision = session.evaluate(call, callId === undefined ? undefined : { callId })
        if (!isThenable(decision)) return rule({ use, sessionId, call, decision })
        const judged = (settled: Decision): Ruling<C> | Promise<Ruling<C>> =>
          rule({ use, sessionId, call, decision: settled })
        return decision.then(judged, () => refuse(lost, "denied"))
      } catch {
        // `onStableError: "throw"`: it was told of as the error that it is.
        return refuse(lost, "denied")
      }
    },
    answered(ruling, approved) {
      if (ruling.kind !== "ask") return ruling
      if (answerTo(ruling.decision) === undefined) {
        ANSWERS.set(ruling.decision, { escalate, answer: tell(ruling, { approved, by: "runtime" }) })
      }
      return approved ? run(ruling) : refuse(ruling, "unapproved")
    },
    pass(ruling, output) {
      if (options.scanOutput !== true) return { kind: "pass", value: output }
      const readable = readableOf(output)
      if (readable === undefined) return { kind: "pass", value: output }
      const { tool } = ruling.use
      const withhold = (scan: Scan | null): Passed => ({ kind: "withhold", scan, reason: withheldText(tool, scan) })
      if (readable === null) return withhold(null)
      const conclude = (scan: Scan): Passed => {
        if (scan.result === "blocked") return withhold(scan)
        if (scan.redacted === undefined || scan.redacted === readable.text) return { kind: "pass", value: output }
        const restored = readable.restore(scan.redacted)
        return restored === null ? withhold(scan) : { kind: "pass", value: restored.value }
      }
      const scan = sessionOf(ruling.sessionId).scan(readable.text, { direction: "output" })
      return scan instanceof Promise ? scan.then(conclude) : conclude(scan)
    },
  }
}

interface Told {
  readonly approved: boolean
  readonly by: "channel" | "runtime" | "default"
  readonly error?: unknown
}
