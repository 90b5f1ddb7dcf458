import { leaderKey, stateKey } from "../../src/controller/keys.js"
import { act, ensureState, readState } from "../../src/controller/verbs.js"
import { connect } from "../../src/connect.js"
import type { Connected, ConnectOptions } from "../../src/connect.js"
import { SerinError } from "../../src/errors.js"
import type { GuardEvent } from "../../src/guard/core.js"
import type { Call } from "../../src/model/call.js"
import type { Decision } from "../../src/model/decision.js"
import type { Release } from "../../src/release/ports.js"
import { serializeBeat } from "../../src/rollout/beat.js"
import type { Beat } from "../../src/rollout/beat.js"
import { serializeState } from "../../src/rollout/state.js"
import type { RolloutState } from "../../src/rollout/state.js"
import type { ReadStore, StateStore, Versioned } from "../../src/rollout/store.js"
import type { RolloutEvent } from "../../src/rollout/transition.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { spec, T0 } from "../guard/harness.js"

const ada = { kind: "human", id: "ada" } as const
const reason = "a test"

/** What the way to the store does to a process: nothing, an error, no answer at all, or the same answers for ever. */
export type Weather = "fine" | "down" | "stalled" | "frozen"

type Options = ConnectOptions<Call, "sync">

/** Under which a text would be in a store that went back: its own, also inside a signature; 1 where it tells none. */
export function revisionIn(text: string): number {
  try {
    const { payload, revision = 1 } = JSON.parse(text) as { readonly payload?: string; readonly revision?: number }
    return payload === undefined ? revision : revisionIn(Buffer.from(payload, "base64").toString())
  } catch {
    return 1
  }
}

/** A store with a rollout in it, whoever leads it, and processes that follow it; on a clock that moves only when told. */
export function createFleet() {
  const clock = fakeClock(T0)
  const inner = memoryStore()
  let weather: Weather = "fine"
  let leads = false
  let epoch = 1
  let beats = 0
  let stalled = 0
  const frozen = new Map<string, Versioned | null>()
  /** Put in the place of what is stored. */
  const forged = new Map<string, string>()
  const opened: Connected[] = []

  const store: ReadStore = {
    caps: inner.caps,
    async get(key, options) {
      if (weather === "down") throw new SerinError("STORE_UNAVAILABLE", "connection refused")
      if (weather === "stalled") {
        stalled += 1
        return new Promise(() => {})
      }
      if (weather === "frozen" && frozen.has(key)) return frozen.get(key)!
      const found = await inner.get(key, options)
      frozen.set(key, found)
      const text = forged.get(key)
      return text === undefined ? found : { revision: revisionIn(text), token: "forged", envelope: text }
    },
    // It gives no hints: what is seen is seen by a poll.
    watch: () => {},
  }

  async function put(to: StateStore, key: string, text: string): Promise<void> {
    const found = await to.get(key)
    await to.compareAndSet(key, found?.revision ?? 0, text)
  }

  async function beat(differs: Partial<Beat> = {}): Promise<void> {
    const revision = (await readState(inner, "demo"))?.revision ?? 0
    const next = {
      format: "serin/leader/1",
      rollout: "demo",
      epoch,
      beat: ++beats,
      holder: "one",
      revision,
      takeoverAfterMs: 3000,
      ledMs: clock.monotonic(),
    } as const
    await put(inner, leaderKey("demo"), serializeBeat({ ...next, ...differs }))
  }

  /** Let time pass; whoever leads beats each second. */
  async function pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 250) {
      if (leads && clock.monotonic() % 1000 < 250) await beat()
      clock.advance(Math.min(250, ms - passed))
      for (let i = 0; i < 12; i++) await Promise.resolve()
    }
  }

  const elsewhere = (event: RolloutEvent): Promise<RolloutState> => act(inner, "demo", event, () => clock.now())

  return {
    clock,
    inner,
    store,
    beat,
    pass,
    elsewhere,
    turn: (next: Weather): void => void (weather = next),
    lead: (on: boolean, newEpoch?: number): void => {
      leads = on
      epoch = newEpoch ?? epoch
    },
    /** The state at 5 %, and long enough for it to count. */
    async begin(): Promise<RolloutState> {
      await ensureState(inner, spec, ada, clock.now())
      await elsewhere({ type: "start", spec, salt: "salt", actor: ada, reason })
      const state = await elsewhere({ type: "promote", actor: ada, reason })
      clock.advance(20_000)
      return state
    },
    kill: (position: "stable" | "deny" = "stable") => elsewhere({ type: "kill", position, actor: ada, reason }),
    state: async (): Promise<RolloutState> => (await readState(inner, "demo"))!,
    forge: (text: string | null, key = stateKey("demo")): void =>
      void (text === null ? forged.delete(key) : forged.set(key, text)),
    put: (state: RolloutState): Promise<void> => put(inner, stateKey("demo"), serializeState(state)),

    /** A process that follows; made without waiting, for those that begin while the store is silent. */
    begins(options: Partial<Options> = {}) {
      const events: GuardEvent[] = []
      const made = connect({
        rollout: "demo",
        store,
        bootstrap: "0.9.0",
        lastKnownGood: false,
        releases: new Map(["0.9.0", "1.0.0", "2.0.0"].map((version) => [version, release(version)])),
        clock,
        onEvent: (event) => void events.push(event),
        ...options,
      }).then((guard) => {
        opened.push(guard)
        return { guard, events, ...ask(guard) }
      })
      return made
    },
    async process(options: Partial<Options> = {}) {
      const made = this.begins(options)
      await this.settled(made)
      return made
    },
    /** Let the clock go on while the store is waited for, and only then: the disk is real. */
    async settled(made: Promise<unknown>): Promise<void> {
      const before = stalled
      const state = { done: false }
      const end = (): void => void (state.done = true)
      void made.then(end, end)
      while (!state.done) {
        await new Promise((resolve) => setImmediate(resolve))
        if (stalled > before) clock.advance(10)
      }
    },
    async close(): Promise<void> {
      for (const guard of opened.splice(0)) await guard.close()
    },
  }
}

/** Each release says which one it is. */
export const release = (version: string): Release => ({
  version,
  policy: { evaluate: () => ({ outcome: "allow", rule: version }) },
})

function ask(guard: Connected) {
  let sessions = 0
  return {
    /** Who serves a session that is new. */
    serves: (): Decision => guard.session(`new-${sessions++}`).evaluate({ action: "x" }),
    /** Whether the canary serves any of many sessions that are new. */
    canary(): boolean {
      for (let n = 0; n < 200; n++) {
        const session = guard.session(`new-${sessions++}`)
        if (session.arm === "canary") return session.evaluate({ action: "x" }).rule === "2.0.0"
      }
      return false
    },
    problem: () => guard.status().follower.problem?.code,
    leaseProblem: () => guard.status().follower.lease?.problem?.code,
  }
}
