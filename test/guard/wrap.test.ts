import { describe, expect, expectTypeOf, it } from "vitest"
import { harness, idOn, stateWith } from "./harness.js"

interface Envelope {
  readonly action: string
  readonly context: { readonly sessionId: string }
}
interface Verdict {
  readonly decision: "permit" | "forbid"
  readonly note?: string
}
const outcome = (verdict: Verdict) => (verdict.decision === "permit" ? ("allow" as const) : ("deny" as const))
const session = (envelope: Envelope): string => envelope.context.sessionId
const envelope = (sessionId: string): Envelope => ({ action: "refund", context: { sessionId } })
const permit = (): Verdict => ({ decision: "permit" })
const forbid = (): Verdict => ({ decision: "forbid" })

describe("wrap", () => {
  it("keeps the signature and gives back the very object that the arm's function made", () => {
    const { guard } = harness()
    const made: Verdict[] = []
    const keep = (verdict: Verdict): Verdict => (made.push(verdict), verdict)
    const evaluate = guard.wrap(
      (_: Envelope) => keep(permit()),
      (_: Envelope) => keep(forbid()),
      { session, outcome },
    )
    expectTypeOf(evaluate).toEqualTypeOf<(envelope: Envelope) => Verdict>()
    const answer = evaluate(envelope(idOn(guard, "canary")))
    expect(answer.decision).toBe("forbid")
    expect(made).toContain(answer)
    expect(evaluate(envelope(idOn(guard, "stable"))).decision).toBe("permit")
  })

  it("passes `this` and every argument on", () => {
    const { guard } = harness()
    const engine = {
      prefix: "p",
      evaluate: guard.wrap(
        function (this: { prefix: string }, e: Envelope, extra: number): Verdict {
          return { decision: "permit", note: `${this.prefix}:${extra}:${e.action}` }
        } as (e: Envelope, extra: number) => Verdict,
        (_e: Envelope, _extra: number) => forbid(),
        { session, outcome },
      ),
    }
    expect(engine.evaluate(envelope(idOn(guard, "stable")), 7).note).toBe("p:7:refund")
  })

  it("serves stable's answer when the canary throws or answers what outcome() does not know", () => {
    const { guard } = harness()
    const id = idOn(guard, "canary")
    const broken = [
      (): Verdict => {
        throw new Error("boom")
      },
      () => ({ decision: "?" }) as unknown as Verdict,
    ]
    for (const canary of broken) {
      const strict = (v: Verdict) => ({ permit: "allow", forbid: "deny" })[v.decision] as "allow"
      expect(guard.wrap((_: Envelope) => permit(), canary, { session, outcome: strict })(envelope(id)).decision).toBe(
        "permit",
      )
    }
  })

  it("lets stable's own error through, or the host's denial when there is one", () => {
    const { guard } = harness()
    const stable = (_: Envelope): Verdict => {
      throw new Error("stable is down")
    }
    const id = idOn(guard, "stable")
    expect(() => guard.wrap(stable, (_: Envelope) => forbid(), { session, outcome })(envelope(id))).toThrow(
      "stable is down",
    )
    expect(guard.wrap(stable, permit, { session, outcome, denied: forbid })(envelope(id)).decision).toBe("forbid")
  })

  it("denies in lockdown in the host's words, and throws where it was given none", () => {
    const { guard } = harness({}, stateWith({ kill: "deny" }))
    const options = { session, outcome, denied: (): Verdict => ({ decision: "forbid", note: "locked" }) }
    expect(guard.wrap((_: Envelope) => permit(), permit, options)(envelope("a")).note).toBe("locked")
    expect(() => guard.wrap((_: Envelope) => permit(), permit, { session, outcome })(envelope("a"))).toThrow(
      expect.objectContaining({ code: "LOCKED_DOWN" }),
    )
  })

  it("goes to stable when the session cannot be told", () => {
    const { guard } = harness({}, stateWith({ ramp: [{ at: 0, weightBp: 10_000, stage: 0 }] }))
    const lost = () => {
      throw new Error("no session")
    }
    for (const find of [lost, () => "", () => undefined as unknown as string]) {
      expect(guard.wrap((_: Envelope) => permit(), forbid, { session: find, outcome })(envelope("a")).decision).toBe(
        "permit",
      )
    }
  })

  it("judges with the other function afterwards, and not when that has effects", async () => {
    const { guard } = harness()
    const id = idOn(guard, "stable")
    let ran = 0
    const canary = (): Verdict => (ran++, forbid())
    guard.wrap((_: Envelope) => permit(), canary, { session, outcome })(envelope(id))
    expect(ran).toBe(0)
    await guard.idle()
    expect(ran).toBe(1)
    expect(guard.diffs()[0]).toMatchObject({ action: "refund", calls: 1 })
    guard.wrap((_: Envelope) => permit(), canary, { session, outcome, shadow: false })(envelope(id))
    await guard.idle()
    expect(ran).toBe(1)
  })

  it("waits for an asynchronous canary no longer than its limit, and for stable as long as the host would", async () => {
    const { guard, clock } = harness({}, stateWith(), { timeoutMs: { canary: 30 } })
    const never = (_: Envelope): Promise<Verdict> => new Promise(() => {})
    const quick = (_: Envelope) => Promise.resolve(permit())
    const pending = guard.wrap(quick, never, { session, outcome })(envelope(idOn(guard, "canary")))
    clock.advance(30)
    expect((await pending).decision).toBe("permit")
    let answer: (verdict: Verdict) => void = () => {}
    const slow = (_: Envelope) => new Promise<Verdict>((resolve) => (answer = resolve))
    const waiting = guard.wrap(slow, quick, { session, outcome, shadow: false })(envelope(idOn(guard, "stable")))
    clock.advance(60_000)
    answer(forbid())
    expect((await waiting).decision).toBe("forbid")
  })

  it("keeps promises promises", async () => {
    const { guard } = harness()
    const evaluate = guard.wrap(
      (_: Envelope) => Promise.resolve(permit()),
      () => Promise.reject<Verdict>(new Error("no")),
      { session, outcome },
    )
    expectTypeOf(evaluate).returns.toEqualTypeOf<Promise<Verdict>>()
    expect((await evaluate(envelope(idOn(guard, "stable")))).decision).toBe("permit")
    expect((await evaluate(envelope(idOn(guard, "canary")))).decision).toBe("permit")
  })
})
