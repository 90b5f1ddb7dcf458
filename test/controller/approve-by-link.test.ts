import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { approveByLink, linkStanding } from "../../src/controller/approve-by-link.js"
import { stateKey } from "../../src/controller/keys.js"
import { act, pastStates, readState } from "../../src/controller/verbs.js"
import { approvalKeys, readGrant, signGrant } from "../../src/notify/approval-token.js"
import type { ApprovalGrant } from "../../src/notify/approval-token.js"
import { serializeState } from "../../src/rollout/state.js"
import type { RolloutState } from "../../src/rollout/state.js"
import type { StateStore } from "../../src/rollout/store.js"
import { transition } from "../../src/rollout/transition.js"
import type { RolloutEvent } from "../../src/rollout/transition.js"
import { memoryStore } from "../../src/stores/memory.js"
import { at, HOUR, HUMAN, look, since, started, tickOf, verdictOf, CONTROLLER } from "../rollout/states.js"
import { runs } from "../runs.js"

const asked = { actor: HUMAN, reason: "because" } as const
const half = at(started("stages: [{ percentage: 5, approval: true }, { percentage: 25, approval: true }, 100]"), 500)
/** A moment that does not pass: nothing here may rest on the clock. */
const T = since(half) + HOUR
const waiting = look(half, "pass", T)
const grant: ApprovalGrant = {
  rollout: "r",
  generation: 1,
  stage: waiting.ramp.at(-1)!.stage,
  revision: waiting.revision,
  to: "ops",
  expires: T + 24 * HOUR,
}

/** A store with the revisions up to the one that asks for an approval. */
async function storeThatWaits(): Promise<StateStore> {
  const store = memoryStore()
  for (let revision = 1; revision <= waiting.revision; revision++) {
    const state = { ...(revision === waiting.revision ? waiting : half), revision }
    await store.compareAndSet(stateKey("r"), revision - 1, serializeState(state))
  }
  return store
}
const does = (store: StateStore, event: RolloutEvent): Promise<RolloutState> => act(store, "r", event, () => T)
const use = (store: StateStore, more: Partial<ApprovalGrant> = {}, now = T) =>
  approveByLink(store, { ...grant, ...more }, "looked at it", () => now)
const passes = tickOf(verdictOf("pass"))
const fails = tickOf(verdictOf("pass", { srm: true }))

describe("an approval link", () => {
  it("approves in the name of the channel that it was given to", async () => {
    const store = await storeThatWaits()
    const { approvals, last, holds } = await use(store)
    expect(approvals).toMatchObject([{ stage: grant.stage, by: "ops (approval link)", reason: "looked at it" }])
    expect(last).toMatchObject({ event: "approve", actor: { kind: "human", id: "ops (approval link)" } })
    expect(holds).toEqual([])
  })

  it("works once: of two at once one approves, and the other is told who did", async () => {
    const store = await storeThatWaits()
    const outcomes = await Promise.allSettled([use(store), use(store, { to: "chat" }), use(store)])
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
    for (const outcome of outcomes) {
      if (outcome.status === "rejected")
        expect(String(outcome.reason)).toMatch(/approved already, by (ops|chat) \(approval link\)/)
    }
    await expect(use(store)).rejects.toMatchObject({ code: "TRANSITION_REFUSED" })
    const events: string[] = []
    for await (const { last } of pastStates(store, "r")) events.push(last.event)
    expect(events.filter((event) => event === "approve")).toHaveLength(1)
  })

  it("outlives a pause, a resume and another leader", async () => {
    const store = await storeThatWaits()
    await does(store, { type: "pause", ...asked })
    await does(store, { type: "lead", epoch: 7, actor: CONTROLLER, reason: "leads" })
    await does(store, { type: "resume", ...asked })
    expect((await use(store)).approvals).toHaveLength(1)
  })

  it.each<[string, RolloutEvent[], RegExp]>([
    ["it was used", [{ type: "approve", ...asked }], /approved already, by ana/],
    ["the evidence no longer passes", [fails], /not asked for any more/],
    ["it is asked for anew, at the same moment", [fails, passes], /not asked for any more/],
    [
      "it was used, and lapsed, and is asked for anew",
      [{ type: "approve", ...asked }, fails, passes],
      /not asked for any more/,
    ],
    ["the next stage asks for one", [{ type: "promote", ...asked }], /not asked for any more/],
    ["it was rolled back", [{ type: "rollback", ...asked }], /moved on/],
    ["it was killed", [{ type: "kill", position: "stable", ...asked }], /moved on/],
    [
      "another generation waits",
      [
        { type: "rollback", ...asked },
        { type: "retry", salt: "s", ...asked },
      ],
      /another canary is under way/,
    ],
  ])("is refused when %s", async (_, events, why) => {
    const store = await storeThatWaits()
    for (const event of events) await does(store, event)
    const before = await readState(store, "r")
    await expect(use(store)).rejects.toThrow(why)
    expect(await readState(store, "r")).toEqual(before)
  })

  it("is refused when its time is over, and where its revision is not kept", async () => {
    const store = await storeThatWaits()
    await expect(use(store, {}, grant.expires)).rejects.toThrow(/was good until/)
    expect(await linkStanding(store, { ...grant, revision: waiting.revision + 1 }, T)).toMatchObject({ good: false })
    const short: StateStore = {
      ...store,
      async *history(key, options) {
        for await (const past of store.history(key, options)) if (past.revision > waiting.revision) yield past
      },
    }
    await does(store, { type: "pause", ...asked })
    expect(await linkStanding(short, grant, T)).toMatchObject({ why: expect.stringContaining("not kept") as string })
  })

  it("approves no more than once whatever happens in between", async () => {
    const events = fc.constantFrom<RolloutEvent>(
      { type: "pause", ...asked },
      { type: "resume", ...asked },
      { type: "promote", ...asked },
      { type: "rollback", ...asked },
      { type: "retry", salt: "s", ...asked },
      { type: "lead", epoch: 9, actor: CONTROLLER, reason: "" },
      fails,
      passes,
    )
    await fc.assert(
      fc.asyncProperty(fc.array(events, { maxLength: 12 }), async (list) => {
        const store = await storeThatWaits()
        let used = 0
        const tryIt = (): Promise<void> =>
          use(store).then(
            () => void used++,
            () => {},
          )
        await Promise.all(list.map((event) => does(store, event).catch(() => {})).flatMap((done) => [done, tryIt()]))
        await tryIt()
        expect(used).toBeLessThanOrEqual(1)
        for await (const state of pastStates(store, "r")) expect(transitionIsLegal(state)).toBe(true)
      }),
      { numRuns: runs(20) },
    )
  })

  /** An approval is only ever of evidence that asked for it. */
  const transitionIsLegal = ({ last, approvals }: RolloutState): boolean =>
    last.event !== "approve" || approvals.length > 0
})

describe("its token", () => {
  const keys = approvalKeys("k".repeat(32))

  it("says what was signed, the same each time, and nothing else passes", () => {
    const token = signGrant(grant, keys)
    expect(signGrant({ ...grant }, keys)).toBe(token)
    expect(readGrant(token, keys)).toEqual(grant)
    expect(readGrant(token, approvalKeys("x".repeat(32)))).toBeNull()
    expect(readGrant(token, [...approvalKeys("x".repeat(32)), ...keys])).toEqual(grant)
    const [payload = "", signature = ""] = token.split(".")
    const forged = Buffer.from(JSON.stringify({ ...grant, stage: 9 })).toString("base64url")
    for (const wrong of ["", ".", payload, `${forged}.${signature}`, `${token}.`, `${token}x`, `${payload}.`]) {
      expect(readGrant(wrong, keys), wrong).toBeNull()
    }
  })

  it("passes with no bit changed", () => {
    const token = signGrant(grant, keys)
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom(..."AZaz09-_."), (i, char) => {
        const changed = `${token.slice(0, i)}${char}${token.slice(i + 1)}`
        // The last character of base64 has bits that say nothing.
        if (changed !== token && i < token.length - 1) expect(readGrant(changed, keys)).toBeNull()
      }),
      { numRuns: runs(50) },
    )
  })

  it("has a secret that cannot be guessed, and shows nothing of it", () => {
    expect(() => approvalKeys("hunter2")).toThrow(/32 characters at least/)
    expect(() => approvalKeys("hunter2")).not.toThrow(/hunter2/)
  })
})

describe("the state that asks", () => {
  it("is the one that this file is about", () => {
    expect(waiting.holds.map(({ reason }) => reason)).toEqual(["approval"])
    expect(transition(waiting, { type: "approve", ...asked }, T).holds).toEqual([])
  })
})
