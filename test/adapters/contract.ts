import { describe, expect, it } from "vitest"
import { createGuard } from "serin"
import type { Call, Channel, Evaluation, Guard, GuardEvent, Release } from "serin"
import { fakeClock } from "serin/testing"
import { readPage, tableRows } from "../docs/pages.js"
import { BEHAVIOURS, PAGE, rowsOf } from "./behaviours.js"
import type { Behaviour, Found, FoundRow, Framework } from "./behaviours.js"
import { fakeState, idOn, stateWith, T0 } from "../guard/harness.js"

type AnyGuard = Guard<Call, "sync"> | Guard<Call, "async">

/** What a run of an agent is about. Its model makes one call a turn, and then ends. */
export interface Scenario {
  readonly guard: AnyGuard
  /** Tools by these names must exist: `read`, `pay`, `erase`, `crash`. Each answers `<tool>: <text>`, and throws `BROKEN` for the text `fail`. */
  readonly calls: readonly { readonly tool: string; readonly text: string }[]
  readonly options: {
    readonly session?: string
    readonly escalate?: "ask" | "deny" | "allow" | Channel
    readonly scanOutput?: boolean
  }
  /** The framework's own id of the conversation. */
  readonly conversation?: string
  /** What a person says, where the runtime asks one. */
  readonly approve?: boolean
  /** Run the agent so that its answer is streamed. */
  readonly streamed?: boolean
}

/** What became of it. */
export interface Played {
  /** `<tool>: <text>` of every tool that ran. */
  readonly ran: readonly string[]
  /** What the model read as the answer to each of its calls. */
  readonly read: readonly string[]
  /** How often the runtime asked a person. */
  readonly asked: number
}

export const BROKEN = "the tool is broken"

export interface AdapterDriver {
  /** The name of its row. */
  readonly framework: Framework
  /** Behaviours that the runtime has no place for, and in a few words why; the page says it. */
  readonly lacks?: Partial<Record<Behaviour, string>>
  /** A conversation's id as the framework takes it; default `own`. */
  readonly conversation?: string
  /** How the framework tells a model of a tool's own error, guarded or not; default with the error's message. */
  readonly brokenWords?: string
  play(scenario: Scenario): Promise<Played>
}

export const REASONS = { erase: "erasing is not for agents", pay: "payments are looked at" } as const

function evaluate({ action }: Call): Evaluation {
  if (action === "crash") throw new Error("password of the database")
  if (action === "erase") return { outcome: "deny", reason: REASONS.erase }
  return action === "pay" ? { outcome: "escalate", reason: REASONS.pay } : "allow"
}

const scanners = [
  {
    name: "secrets",
    scan: (text: string) => ({
      result: text.includes("secret") ? ("blocked" as const) : ("clean" as const),
      findings: [],
    }),
  },
]

interface Made<G> {
  readonly guard: G
  readonly sessions: string[]
  readonly events: GuardEvent[]
  /** How often a policy was asked. */
  judged(): number
}

/** A guard that allows `read`, escalates `pay`, denies `erase`, and fails on `crash`; of the canary, if there is one, every call is denied. */
export function contractGuard(canary: boolean, isAsync: true): Made<Guard<Call, "async">>
export function contractGuard(canary?: boolean, isAsync?: false): Made<Guard>
export function contractGuard(canary = false, isAsync = false): Made<AnyGuard> {
  const sessions: string[] = []
  const events: GuardEvent[] = []
  let asked = 0
  const stable: Release = {
    version: "1.0.0",
    scanners,
    policy: {
      evaluate(call, { sessionId }) {
        asked += 1
        sessions.push(sessionId)
        return evaluate(call)
      },
    },
  }
  const denying: Release = {
    version: "2.0.0",
    policy: { evaluate: () => ({ outcome: "deny", reason: "by the canary" }) },
  }
  const options = {
    rollout: "demo",
    state: fakeState(stateWith(canary ? {} : { ramp: [] })),
    clock: fakeClock(T0),
    releases: new Map([stable, denying].map((release) => [release.version, release])),
    onEvent: (event: GuardEvent) => void events.push(event),
  }
  const guard = isAsync ? createGuard({ ...options, async: true }) : createGuard(options)
  return { guard, sessions, events, judged: () => asked }
}

const call = (tool: string, text = "a"): { tool: string; text: string } => ({ tool, text })
const escalations = (events: readonly GuardEvent[]) =>
  events.flatMap((event) => (event.type === "escalation" ? [[event.approved, event.by]] : []))

const CHECKS: Readonly<Record<Behaviour, (driver: AdapterDriver) => Promise<void>>> = {
  async allow({ play }) {
    const { guard } = contractGuard()
    const { ran, read } = await play({ guard, calls: [call("read")], options: { session: "s" } })
    expect(ran).toEqual(["read: a"])
    expect(read).toEqual(["read: a"])
  },
  async deny({ play }) {
    const { guard } = contractGuard()
    const { ran, read } = await play({ guard, calls: [call("erase"), call("read")], options: { session: "s" } })
    expect(ran).toEqual(["read: a"])
    expect(read).toEqual([expect.stringContaining(REASONS.erase), "read: a"])
    expect(read[0]).toMatch(/Do not retry the same call/)
  },
  async pause({ play }) {
    const { guard, events } = contractGuard()
    const played = await play({ guard, calls: [call("pay")], options: { session: "s" }, approve: true })
    expect(played).toEqual({ ran: ["pay: a"], read: ["pay: a"], asked: 1 })
    expect(escalations(events)).toEqual([[true, "runtime"]])
  },
  async refused({ play }) {
    const { guard } = contractGuard()
    const { ran, read, asked } = await play({ guard, calls: [call("pay")], options: { session: "s" }, approve: false })
    expect({ ran, asked, read: read.length }).toEqual({ ran: [], asked: 1, read: 1 })
    expect(read[0]).not.toContain("pay: a")
  },
  async channel({ play }) {
    const { guard, events } = contractGuard()
    const said = [true, false]
    const options = { session: "s", escalate: async () => said.shift() === true }
    const { ran, read, asked } = await play({ guard, calls: [call("pay", "a"), call("pay", "b")], options })
    expect({ ran, asked }).toEqual({ ran: ["pay: a"], asked: 0 })
    expect(read).toEqual(["pay: a", expect.stringMatching(/was not approved/)])
    expect(escalations(events)).toEqual([
      [true, "channel"],
      [false, "channel"],
    ])
  },
  async unattended({ play }) {
    const { guard, events } = contractGuard()
    const { ran, read } = await play({ guard, calls: [call("pay")], options: { session: "s", escalate: "deny" } })
    expect(ran).toEqual([])
    expect(read).toEqual([expect.stringMatching(/cannot be approved here/)])
    expect(escalations(events)).toEqual([[false, "default"]])
  },
  async hook({ play }) {
    const { guard, sessions, events } = contractGuard()
    const session = (): string => {
      throw new Error("no session")
    }
    const options = { session: session as unknown as string }
    const { ran, read } = await play({ guard, calls: [call("crash"), call("read")], options })
    expect(ran).toEqual(["read: a"])
    expect(read).toEqual([expect.stringMatching(/could not be judged/), "read: a"])
    expect(read.join()).not.toContain("password")
    expect(new Set(sessions)).toEqual(new Set([""]))
    expect(events).toContainEqual(expect.objectContaining({ type: "misuse", what: "session" }))
  },
  async broken({ play, brokenWords = BROKEN }) {
    const { guard } = contractGuard()
    const { ran, read } = await play({ guard, calls: [call("read", "fail"), call("read")], options: { session: "s" } })
    expect(ran).toEqual(["read: fail", "read: a"])
    expect(read).toEqual([expect.stringContaining(brokenWords), "read: a"])
  },
  async streamed({ play }) {
    const { guard } = contractGuard()
    const calls = [call("erase"), call("read"), call("pay")]
    const played = await play({ guard, calls, options: { session: "s", escalate: "deny" }, streamed: true })
    expect(played.ran).toEqual(["read: a"])
    expect(played.read).toEqual([
      expect.stringContaining(REASONS.erase),
      "read: a",
      expect.stringMatching(/cannot be approved here/),
    ])
  },
  async scanned({ play }) {
    const { guard } = contractGuard()
    const options = { session: "s", scanOutput: true }
    const { ran, read } = await play({ guard, calls: [call("read", "secret"), call("read")], options })
    expect(ran).toEqual(["read: secret", "read: a"])
    expect(read).toEqual([expect.stringMatching(/was run, .* not allow its output/), "read: a"])
    expect(read.join()).not.toContain("secret")
  },
  async session({ play, conversation = "own" }) {
    const { guard, sessions } = contractGuard()
    await play({ guard, calls: [call("read")], options: {}, conversation })
    await play({ guard, calls: [call("read")], options: { session: "told" }, conversation })
    expect(sessions).toEqual([conversation, "told"])
  },
  async arm({ play }) {
    const { guard } = contractGuard(true)
    for (const arm of ["stable", "canary"] as const) {
      const options = { session: idOn(guard, arm) }
      const { ran } = await play({ guard, calls: [call("read", "a"), call("read", "b")], options })
      expect(ran).toEqual(arm === "stable" ? ["read: a", "read: b"] : [])
    }
  },
  async once({ play }) {
    const { guard, judged } = contractGuard()
    await play({ guard, calls: [call("pay"), call("read")], options: { session: "s" }, approve: true })
    expect(judged()).toBe(2)
  },
  async async({ play }) {
    const { guard } = contractGuard(false, true)
    const { ran, read } = await play({ guard, calls: [call("erase"), call("read")], options: { session: "s" } })
    expect(ran).toEqual(["read: a"])
    expect(read).toEqual([expect.stringContaining(REASONS.erase), "read: a"])
  },
}

declare module "vitest" {
  interface TaskMeta {
    /** For the script that writes the page. */
    adapter?: FoundRow
  }
}

/** Hold an adapter to the contract, in the real framework, and its row of the page to what came of that. */
export function adapterContract(driver: AdapterDriver): void {
  const { framework, lacks = {} } = driver
  describe(`the adapter contract in ${framework}`, () => {
    const found: Partial<Record<Behaviour, string>> = { ...lacks }
    for (const [behaviour, sentence] of Object.entries(BEHAVIOURS) as [Behaviour, string][]) {
      if (lacks[behaviour] !== undefined) continue
      it(sentence, async () => {
        await CHECKS[behaviour](driver)
        found[behaviour] = "yes"
      })
    }

    it(`stands in docs/${PAGE} as it was found here`, ({ task }) => {
      task.meta.adapter = { framework, found }
      expect(rowsOf(tableRows(readPage(PAGE))).get(framework)).toEqual(found satisfies Found)
    })
  })
}
