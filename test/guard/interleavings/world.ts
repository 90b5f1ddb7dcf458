import { expect } from "vitest"
import { createGuard } from "../../../src/guard.js"
import type { Guard, Session } from "../../../src/guard.js"
import type { GuardOptions, Mode as GuardMode } from "../../../src/guard/guard-options.js"
import type { OnStableError } from "../../../src/guard/core.js"
import type { Call } from "../../../src/model/call.js"
import type { Arm, Decision, Scan } from "../../../src/model/decision.js"
import type { Evaluation, Release, ScanReport } from "../../../src/release/ports.js"
import type { RolloutState } from "../../../src/rollout/state.js"
import type { MetricsReading } from "../../../src/telemetry/reading.js"
import { fakeClock } from "../../../src/testing/fake-clock.js"
import { fakeState, spec, stateWith, T0 } from "../harness.js"
import { ModelSession, NOTHING, told } from "./model.js"
import type { Told, Turn } from "./model.js"
import type { Change, Mode, Script, Scripts, Step, Verdict, Watch } from "./steps.js"

export const LIMIT = { stable: 20, canary: 30 } as const
const TICK_MS = 5
export const QUEUE = 4
const VERSIONS = ["1.0.0", "2.0.0", "3.0.0"]

/** Ties what a release is asked to the step that asked. Its number is private, so that two are the same to whoever compares calls. */
class Tag {
  #n: number
  constructor(n: number) {
    this.#n = n
  }
  get n(): number {
    return this.#n
  }
}

export type Effects = "allow" | "deny" | "escalate"
export interface Resolution {
  readonly seq: number
  /** Null: it failed. */
  readonly verdict: string | null
  readonly errorType?: "throw" | "invalid" | "timeout" | "unavailable"
}

/** One question to a policy or a scanner. */
export interface Ask {
  readonly n: number
  readonly version: string
  readonly arm: Arm
  /** The host waits for it; else it is asked in shadow. */
  readonly served: boolean
  readonly at: number
  readonly seq: number
  readonly limit: number
  resolution: Resolution | null
  settle: (() => void) | null
  /** Settled when nobody waited any more. */
  late: boolean
  /** To a value, if it is settled. */
  readonly resolves: boolean
}

export interface Asked<T> {
  readonly n: number
  readonly kind: "evaluate" | "scan"
  readonly session: ModelSession
  /** Null: an answer that was given before. */
  readonly turn: Turn | null
  readonly at: number
  readonly seq: number
  readonly scripts: Scripts<string>
  value: T | undefined
  thrown: unknown
  settledAt: number | null
}

interface Remembered {
  readonly scripts: string
  readonly answer: unknown
}

export type Door = Omit<Guard<Call, GuardMode>, "session"> & {
  session: (...args: Parameters<Guard<Call, GuardMode>["session"]>) => Session<Call, GuardMode>
}

export interface WorldOptions {
  readonly mode: Mode
  readonly onStableError: OnStableError
  readonly start: "whole" | "no stable" | "no state"
  /** Metrics are read by a sink; else they go to the meter that nobody has registered. */
  readonly sink: boolean
  /** The guard has a fuse, of few failures. */
  readonly fuse: boolean
}

/** A guard, releases that do what the steps say, and all that was asked and answered. */
export function createWorld({ mode, onStableError, start, sink, fuse }: WorldOptions) {
  const clock = fakeClock(T0)
  const isAsync = mode === "async"
  const eligibleSpec = { ...spec, shadowSampleBp: 6000, eligible: { tier: ["in"] } }
  let state: RolloutState = stateWith({ spec: eligibleSpec, ramp: [{ at: T0 - 1000, weightBp: 5000, stage: 0 }] })
  const reader = fakeState(start === "no state" ? null : state)
  const present = new Set(start === "no stable" ? ["2.0.0", "3.0.0"] : VERSIONS)
  const asks: Ask[] = []
  const asked: (Asked<Decision> | Asked<Scan>)[] = []
  const watched: { session: ModelSession; turn: Turn; scripts: Scripts<Watch>; alerts: readonly string[] }[] = []
  const turns = new Map<number, Turn>()
  const texts = new Map<string, { n: number; scripts: Scripts<string> }>()
  let seq = 0
  let n = 0
  let closed = false
  let now = told(reader.current(), present, NOTHING)
  /** `[seq, generation]`, oldest first. */
  const generations: [number, number][] = [[0, now.generation]]
  let cleared: () => void = () => {}

  const sessions = [
    new ModelSession("old", T0 - 10_000, "drawn"),
    new ModelSession("a", T0, "drawn"),
    ...["b", "c", "d"].map((id) => new ModelSession(id, undefined, "drawn")),
    new ModelSession("outsider", T0, "outsider"),
    new ModelSession("tester", T0, "pinned"),
    new ModelSession("", 0, "sessionless"),
  ]

  const armOf = ({ n }: Tag, version: string): Arm => (version === turns.get(n)!.told.stableName ? "stable" : "canary")

  function ask(tag: Tag, arm: Arm, version: string, served: boolean, script: Script<string>): unknown {
    const canWait = isAsync || (mode === "wrap" && texts.get(String(tag.n)) === undefined)
    // How long a wrapped stable function that serves may take is the host's affair.
    const limit = mode === "wrap" && served && arm === "stable" ? Infinity : LIMIT[arm]
    const one: Ask = {
      n: tag.n,
      version,
      arm,
      served,
      at: clock.monotonic(),
      seq: ++seq,
      limit,
      resolution: null,
      settle: null,
      late: false,
      resolves: script.verdict !== "throw",
    }
    asks.push(one)
    if (!script.later || !canWait) {
      const promise = script.later && script.verdict !== "throw"
      one.resolution = promise ? { seq, verdict: null, errorType: "invalid" } : { seq, ...meaning(script.verdict) }
      // A promise in a synchronous guard is an error of the policy, whatever becomes of it.
      if (promise) return script.verdict === "invalid" ? Promise.reject(new Error("later")) : Promise.resolve("allow")
      if (script.verdict === "throw") throw new Error("thrown")
      return script.verdict === "invalid" ? { outcome: "perhaps" } : script.verdict
    }
    return new Promise((resolve, reject) => {
      one.settle = () => {
        one.settle = null
        if (one.resolution === null) one.resolution = { seq: ++seq, ...meaning(script.verdict) }
        else one.late = true
        if (script.verdict === "throw") reject(new Error("rejected"))
        else resolve(script.verdict === "invalid" ? { outcome: "perhaps" } : script.verdict)
      }
    })
  }

  /** The session's own arm, or stable after a canary that failed: the other arm looks for comparison only. */
  function isServed(number: number, arm: Arm): boolean {
    const own = turns.get(number)!.arm
    const first = asks.find((one) => one.n === number && one.arm === own)
    return arm === own || first === undefined || first.resolution?.verdict === null
  }

  function release(version: string): Release<Call, Evaluation | Promise<Evaluation>, ScanReport | Promise<ScanReport>> {
    const index = VERSIONS.indexOf(version)
    const reportOf = (answer: unknown): unknown => (typeof answer === "string" ? { result: answer } : answer)
    return {
      version,
      policy: {
        evaluate(call) {
          const { tag, scripts } = call.input as { tag: Tag; scripts: Scripts<Verdict> }
          const arm = armOf(tag, version)
          return ask(tag, arm, version, isServed(tag.n, arm), scripts[index]!) as Evaluation
        },
      },
      scanners: [
        {
          name: "eye",
          scan(text) {
            const { n: number, scripts } = texts.get(text)!
            const tag = new Tag(number)
            const arm = armOf(tag, version)
            const answer = ask(tag, arm, version, isServed(number, arm), scripts[index]!)
            return (answer instanceof Promise ? answer.then(reportOf) : reportOf(answer)) as ScanReport
          },
        },
      ],
      monitor: {
        observe(event) {
          const { verdict } = (event as { scripts: Scripts<Watch> }).scripts[index]!
          if (verdict === "throw") throw new Error("blind")
          if (verdict === "invalid") return "none" as unknown as []
          return verdict === "alert" ? [{ name: version }] : []
        },
      },
    }
  }

  let read: (() => MetricsReading) | undefined
  const releases = new Map([...present].map((version) => [version, release(version)]))
  const guard = createGuard<Call>({
    rollout: "demo",
    state: reader,
    clock,
    releases,
    onStableError,
    shadow: { queue: QUEUE },
    timeoutMs: LIMIT,
    fuse: fuse && { consecutiveErrors: 3, threshold: 1000 },
    ...(sink && { metrics: { register: (reading) => ((read = reading), () => {}) } }),
    onEvent: () => {
      throw new Error("a listener that throws")
    },
    async: isAsync,
  } as GuardOptions<Call, "async"> & { async: true }) as unknown as Door

  /** The functions are the same whatever the releases are called. */
  function answerOf(call: Call, arm: Arm): unknown {
    const { tag, scripts } = call.input as { tag: Tag; scripts: Scripts<Verdict> }
    const answer = ask(tag, arm, arm, isServed(tag.n, arm), scripts[arm === "stable" ? 0 : 1])
    const wrap = (is: unknown): unknown => (typeof is === "string" ? { is } : is)
    return answer instanceof Promise ? answer.then(wrap) : wrap(answer)
  }

  const wrapped = guard.wrap(
    (_id: string, call: Call) => answerOf(call, "stable"),
    (_id: string, call: Call) => answerOf(call, "canary"),
    {
      session: (id) => (id === "" ? "" : { id, ...optionsOf(sessions.find((one) => one.id === id)!) }),
      outcome: (answer) => (answer as { is: Effects }).is,
      denied: () => ({ is: "the host denies" }),
      action: () => "a",
    },
  )

  /** When the fuse blows is for other tests to say; here it is what follows from it. */
  const toldNow = (): Told => ({ ...now, fuseBlown: guard.fuse() !== null })

  function generationAt(at: number): number {
    return generations.findLast(([from]) => from <= at)![1]
  }

  function optionsOf(session: ModelSession) {
    return {
      startedAt: session.startedAt,
      attributes: session.kind === "drawn" ? { tier: "in" } : {},
      arm: session.kind === "pinned" ? ("canary" as const) : undefined,
    }
  }

  function find(session: ModelSession): Session<Call, GuardMode> {
    if (session.kind === "sessionless") return guard.sessionless
    const found = guard.session(session.id, optionsOf(session))
    session.startedAt ??= clock.now()
    return found
  }

  /** Everything that is resolved runs, and nothing that waits for the event loop. */
  const microtasks = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve))

  function expire(): void {
    const due = asks.filter((one) => one.resolution === null && one.at + one.limit <= clock.monotonic())
    due.sort((a, b) => a.at + a.limit - (b.at + b.limit) || a.seq - b.seq)
    for (const one of due) one.resolution = { seq: ++seq, verdict: null, errorType: "timeout" }
  }

  async function advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += TICK_MS) {
      clock.advance(TICK_MS)
      expire()
      await microtasks()
    }
  }

  function track<T>(one: Asked<T>, answer: T | PromiseLike<T>): void {
    if (!isPromise(answer)) {
      one.value = answer
      one.settledAt = clock.monotonic()
      return
    }
    answer.then(
      (value) => {
        one.value = value
        one.settledAt = clock.monotonic()
      },
      (error: unknown) => {
        one.thrown = error
        one.settledAt = clock.monotonic()
      },
    )
  }

  const remembered = new Map<string, Remembered>()

  function evaluate(step: Extract<Step, { do: "evaluate" }>): Asked<Decision> {
    const model = sessions[step.session]!
    const session = find(model)
    const tag = new Tag(++n)
    const call: Call = { action: "a", input: { tag, scripts: step.scripts } }
    const scripts = JSON.stringify(step.scripts)
    const key = `${model.id} ${step.callId}`
    const isOnce = mode !== "wrap" && !!step.callId && model.kind !== "sessionless" && now.state?.kill !== "deny"
    const before = isOnce ? remembered.get(key) : undefined
    const stands = before !== undefined && before.scripts === scripts ? before : undefined
    const turn = stands === undefined ? model.take(toldNow()) : null
    if (turn !== null) turns.set(tag.n, turn)
    const at = clock.monotonic()
    const one: Asked<Decision> = {
      n: tag.n,
      kind: "evaluate",
      session: model,
      turn,
      at,
      seq,
      scripts: step.scripts,
      value: undefined,
      thrown: undefined,
      settledAt: null,
    }
    const asksBefore = asks.length
    try {
      const answer = (
        mode === "wrap" ? wrapped(model.id, call) : session.evaluate(call, { callId: step.callId })
      ) as Decision
      if (stands !== undefined) {
        expect(answer, "the same call of the same session has the same answer").toBe(stands.answer)
        expect(asks.length, "nobody is asked again").toBe(asksBefore)
      }
      if (mode === "sync") expect(isPromise(answer), "a synchronous guard answers values").toBe(false)
      if (mode === "async") expect(answer, "an asynchronous guard answers promises").toBeInstanceOf(Promise)
      track(one, answer)
      if (isOnce && stands === undefined) {
        const entry = { scripts, answer }
        const isKept = (): boolean => ["policy", "fallback"].includes(one.value?.source ?? "")
        const forget = (): void => void (remembered.get(key) === entry && remembered.delete(key))
        remembered.set(key, entry)
        if (isPromise(answer)) void (answer as unknown as Promise<Decision>).then(() => isKept() || forget(), forget)
        else if (!isKept()) forget()
      }
    } catch (error) {
      if (mode !== "sync") throw error
      one.thrown = error
      one.settledAt = at
    }
    // A canary that is not there has lost the session.
    if (mode !== "wrap" && turn?.arm === "canary" && turn.told.canary === null) model.latched = true
    if (turn !== null) asked.push(one)
    return one
  }

  function scan(step: Extract<Step, { do: "scan" }>): Asked<Scan> {
    const model = sessions[step.session]!
    const session = find(model)
    const turn = model.take(toldNow())
    const number = ++n
    turns.set(number, turn)
    texts.set(String(number), { n: number, scripts: step.scripts })
    const one: Asked<Scan> = {
      n: number,
      kind: "scan",
      session: model,
      turn,
      at: clock.monotonic(),
      seq,
      scripts: step.scripts,
      value: undefined,
      thrown: undefined,
      settledAt: null,
    }
    const answer = session.scan(String(number), { direction: "output" }) as Scan
    expect(isPromise(answer)).toBe(isAsync)
    track(one, answer)
    if (turn.arm === "canary" && turn.told.canary === null) model.latched = true
    asked.push(one)
    return one
  }

  function observe(step: Extract<Step, { do: "observe" }>): void {
    const model = sessions[step.session]!
    const session = find(model)
    const turn = model.take(toldNow())
    const alerts = session.observe({ scripts: step.scripts }).map(({ name }) => name)
    if (turn.arm === "canary" && turn.told.canary === null) model.latched = true
    watched.push({ session: model, turn, scripts: step.scripts, alerts })
  }

  function look(): void {
    const generation = now.generation
    now = told(reader.current(), present, now)
    if (now.generation !== generation) generations.push([++seq, now.generation])
    const s = now.state
    const compares = s !== null && s.kill === "off" && s.ended === null && s.canary !== null && s.ramp.length > 0
    if (!compares || now.generation !== generation) cleared()
  }

  function change({ change: what, weightBp }: { change: Change; weightBp: number }): void {
    const last = state.ramp.at(-1)
    const at = Math.max(clock.now(), last?.at ?? 0)
    const begin = { generation: state.generation + 1, kill: "off", ended: null, holds: [] } as const
    const salt = `salt ${state.generation + 1}`
    const differs: Partial<RolloutState> = {
      ramp: { ramp: [...state.ramp, { at, weightBp, stage: 0 }] },
      rollback: { ended: { kind: "rolled_back" as const, at } },
      promoted: { ended: { kind: "promoted" as const, at } },
      "kill stable": { kill: "stable" as const },
      "kill deny": { kill: "deny" as const },
      paused: { holds: [{ reason: "paused" as const, since: at }] },
      retry: { ...begin, salt, ramp: [{ at, weightBp, stage: 0 }] },
      next: { ...begin, salt, ramp: [{ at, weightBp, stage: 0 }], stable: "2.0.0", canary: "3.0.0" },
    }[what]
    state = { ...state, ...differs, revision: state.revision + 1 }
    reader.set(state)
    if (!closed) look()
  }

  return {
    clock,
    guard,
    mode,
    onStableError,
    sessions,
    asks,
    asked,
    watched,
    reader,
    told: toldNow,
    isClosed: () => closed,
    generationAt,
    metrics: () => read?.(),
    onCleared: (listener: () => void) => void (cleared = listener),
    find,
    evaluate,
    scan,
    observe,
    change,
    advance,
    microtasks,
    resetFuse(): void {
      if (guard.fuse() === null) return
      guard.resetFuse()
      expect(guard.fuse(), "a fuse that is reset is whole").toBeNull()
      look()
    },
    release(version: string, isPresent: boolean): void {
      if (isPresent) {
        present.add(version)
        releases.set(version, release(version))
      } else {
        present.delete(version)
        releases.delete(version)
      }
      guard.refresh()
      look()
    },
    async answer(which: number, race: boolean): Promise<void> {
      const open = asks.filter((one) => one.settle !== null)
      const one = open[which % Math.max(1, open.length)]
      if (one === undefined) return
      if (race && one.resolution === null && one.limit !== Infinity) {
        // Both in one turn: the limit has been reached when the answer is read.
        const left = one.at + one.limit - clock.monotonic()
        await advance(left - TICK_MS)
        if (one.resolution !== null) return
        one.settle?.()
        one.resolution = null
        clock.advance(TICK_MS)
        expire()
        one.late = true
      } else one.settle?.()
      await microtasks()
    },
    async drain(): Promise<void> {
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
    },
    wall(ms: number): void {
      clock.setWall(clock.now() + ms)
    },
    close(): void {
      guard.close()
      closed = true
      cleared()
    },
    /** Nobody answers any more: time limits end what is under way. */
    async end(): Promise<void> {
      const longest = mode === "sync" ? 1 : (LIMIT.canary + LIMIT.stable + QUEUE * LIMIT.canary) / TICK_MS
      for (let i = 0; i < longest; i++) {
        for (const one of asks) if (one.limit === Infinity) one.settle?.()
        await microtasks()
        await this.drain()
        await advance(TICK_MS)
      }
    },
  }
}
export type World = ReturnType<typeof createWorld>

export function meaning(verdict: string): Omit<Resolution, "seq"> {
  if (verdict === "throw" || verdict === "invalid") return { verdict: null, errorType: verdict }
  return { verdict }
}

export function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function"
}
