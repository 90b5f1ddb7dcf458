import fc from "fast-check"

export type Verdict = "allow" | "deny" | "escalate" | "throw" | "invalid"
export type Sight = "clean" | "flagged" | "blocked" | "throw" | "invalid"
export type Watch = "quiet" | "alert" | "throw" | "invalid"

/** What one release makes of one call or text. `later`: by a promise, which settles when a step says so, if ever. */
export interface Script<V> {
  readonly verdict: V
  readonly later: boolean
}

/** One script a release: 1.0.0, 2.0.0, 3.0.0. */
export type Scripts<V> = readonly [Script<V>, Script<V>, Script<V>]

/** `next`: the canary has become stable, and another release is under canary. */
export const CHANGES = ["ramp", "rollback", "kill stable", "kill deny", "retry", "promoted", "paused", "next"] as const
export type Change = (typeof CHANGES)[number]

export type Step =
  | {
      readonly do: "evaluate"
      readonly session: number
      readonly callId: string | undefined
      readonly times: number
      readonly scripts: Scripts<Verdict>
    }
  | { readonly do: "scan"; readonly session: number; readonly scripts: Scripts<Sight> }
  | { readonly do: "observe"; readonly session: number; readonly scripts: Scripts<Watch> }
  | { readonly do: "change"; readonly change: Change; readonly weightBp: number }
  | { readonly do: "release"; readonly version: string; readonly present: boolean }
  /** `race`: the answer and the time limit fall into one turn of the event loop. */
  | { readonly do: "answer"; readonly which: number; readonly race: boolean }
  | { readonly do: "advance"; readonly ms: number }
  | { readonly do: "wall"; readonly ms: number }
  /** `again`: the call that was asked last is asked once more, as it was. */
  | { readonly do: "again" | "drain" | "close" | "reset fuse" }

export type Mode = "sync" | "async" | "wrap"

export const SESSIONS = 8

/** Some come back often: what happens to a session depends on what has happened to it. */
const session = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(1, 2) },
  { weight: 4, arbitrary: fc.nat(SESSIONS - 1) },
)
const scripts = <V>(...verdicts: V[]): fc.Arbitrary<Scripts<V>> => {
  const one = fc.record({ verdict: fc.constantFrom(...verdicts), later: fc.boolean() })
  return fc.tuple(one, one, one)
}

const now = <V>(verdict: V): Script<V> => ({ verdict, later: false })
/** Calls that come back as they were. */
const usual = fc.constantFrom<Scripts<Verdict>>(
  [now("allow"), now("deny"), now("allow")],
  [now("deny"), { verdict: "allow", later: true }, now("throw")],
)

const evaluate = fc.record({
  do: fc.constant("evaluate" as const),
  session,
  callId: fc.constantFrom(undefined, undefined, "a", "b", ""),
  times: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.constant(25) }),
  scripts: fc.oneof(usual, scripts<Verdict>("allow", "allow", "deny", "deny", "escalate", "throw", "invalid")),
})

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: evaluate },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("scan" as const),
      session,
      scripts: scripts<Sight>("clean", "clean", "flagged", "blocked", "throw", "invalid"),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("observe" as const),
      session,
      scripts: scripts<Watch>("quiet", "alert", "throw", "invalid"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("change" as const),
      change: fc.constantFrom<Change>(...Array.from({ length: 6 }, () => "ramp" as const), ...CHANGES),
      weightBp: fc.constantFrom(0, 2500, 7500, 10_000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("release" as const),
      version: fc.constantFrom("1.0.0", "2.0.0", "2.0.0", "3.0.0"),
      present: fc.boolean(),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant("answer" as const), which: fc.nat(20), race: fc.boolean() }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.constantFrom(5, 10, 20, 30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wall" as const), ms: fc.constantFrom(-5000, 5000) }) },
  { weight: 5, arbitrary: fc.constant({ do: "drain" as const }) },
  { weight: 4, arbitrary: fc.constant({ do: "again" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "close" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "reset fuse" as const }) },
)

export const steps = fc.array(step, { minLength: 5, maxLength: 60, size: "max" })
