import { describe, expect, it, vi } from "vitest"
import type { DashboardOptions } from "../../src/dashboard.js"
import { SerinError } from "../../src/errors.js"
import type { DecisionLogEntry } from "../../src/model/decision-entry.js"
import { linesOf, logged } from "../disagreements/log.js"
import { verdictOf } from "../rollout/states.js"
import { errorOf, NAME, PAGE_HEADERS, serveDashboard, type Served } from "./served.js"

const DIFFS = [
  {
    action: "issue_refund",
    stable: { outcome: "allow", rule: "refund" },
    canary: { outcome: "deny", rule: "large-refund" },
    calls: 60,
    sessions: 25,
  },
] as const

const ENTRIES: readonly DecisionLogEntry[] = Array.from({ length: 6 }, (_, i) =>
  logged({ id: `p-${i}`, session: `s-${i}`, stable: { outcome: "allow", rule: "refund" } }),
).flat()

const RELEASES = new Map(
  [1000, 500].map((limit, i) => [
    `1.${4 + i}.0`,
    {
      version: `1.${4 + i}.0`,
      policy: {
        evaluate: ({ input }: { readonly input?: unknown }) =>
          (input as { amount: number }).amount > limit
            ? ({ outcome: "deny", rule: "large-refund" } as const)
            : ({ outcome: "allow", rule: "refund" } as const),
      },
    },
  ]),
)

async function serve(options: Partial<DashboardOptions> = {}) {
  let reads = 0
  const log = async function* () {
    reads += 1
    yield* JSON.parse(`[${linesOf(ENTRIES).trim().replaceAll("\n", ",")}]`) as DecisionLogEntry[]
  }
  const served = await serveDashboard({ log, releases: RELEASES, ...options })
  await served.report({ verdict: verdictOf("inconclusive", { sessions: 500 }), diffs: DIFFS })
  const post = (path: string, body: object, headers = {}): Promise<Response> =>
    served.handler(
      new Request(`http://localhost/api/${NAME}/disagreements/${path}`, {
        method: "POST",
        headers: { ...PAGE_HEADERS, ...headers },
        body: JSON.stringify({ generation: 1, ...body }),
      }),
    )
  return { ...served, post, reads: () => reads }
}

const list = async ({ get }: Served) => (await (await get(`api/${NAME}/disagreements`)).json()) as Record<string, never>
const groupOf = async (served: Served): Promise<string> => (await list(served))["groups"]![0]!["id"]

describe("where the releases disagree, on the dashboard", () => {
  it("is ranked for whoever may read, without a call of the log", async () => {
    const served = await serve()
    expect(await list(served)).toMatchObject({
      format: "serin/disagreements/1",
      sessions: 500,
      groups: [{ change: "newly_denied", evidence: { found: true }, examples: [], labels: [] }],
      shows: { calls: true, replays: true },
    })
    expect(served.reads()).toBe(0)
  })

  it("is looked up once for all who ask within two seconds, and again when somebody labelled", async () => {
    const served = await serve()
    const get = vi.spyOn(served.store, "get")
    await Promise.all(Array.from({ length: 50 }, () => list(served)))
    const once = get.mock.calls.length
    expect(once).toBeGreaterThan(0)
    expect(await list(served)).toMatchObject({ groups: [{ labels: [] }] })
    expect(get).toHaveBeenCalledTimes(once)
    served.clock.advance(2000)
    await list(served)
    expect(get.mock.calls.length).toBe(2 * once)
  })

  it("shows calls to those who may act alone, and reads the log once for all who ask at a time", async () => {
    const served = await serve()
    const group = await groupOf(served)
    const answers = await Promise.all([served.post("calls", { group }), served.post("calls", { group })])
    for (const answer of answers) {
      expect(await answer.json()).toMatchObject({ examples: [{ id: "p-0", input: '{"amount":700}' }, {}, {}] })
    }
    expect(served.reads()).toBe(1)
    served.clock.advance(31_000)
    await served.post("calls", { group })
    expect(served.reads()).toBe(2)
    const closed = await serve({ authorize: (_, access) => access === "read" })
    for (const path of ["calls", "draw", "label", "replay"]) {
      expect((await closed.post(path, { group, scope: "all", id: "p-0" })).status).toBe(401)
    }
    expect(closed.reads()).toBe(0)
  })

  it("draws, takes a label of what was drawn in the name of who is there, and bounds how often the canary is wrong", async () => {
    const served = await serve()
    const { draw, example } = (await (await served.post("draw", { scope: "all" })).json()) as Record<
      string,
      { id: string }
    >
    expect(draw).toMatchObject({ by: "bo", scope: "all" })
    const labelled = await served.post("label", { example: example!.id, says: "wrong", note: "they may" })
    expect(await labelled.json()).toMatchObject({
      label: { by: "bo", note: "they may" },
      wrongRate: { drawn: 1, labelled: 1, wrong: 1 },
    })
    expect(await list(served)).toMatchObject({ groups: [{ labels: [{ says: "wrong", by: "bo" }] }] })
    const group = await groupOf(served)
    expect((await served.post("label", { group, example: null, says: "right", note: "" })).status).toBe(200)
    expect(await list(served)).toMatchObject({ wrongRates: [{ labelled: 1 }] })
  })

  it("replays a call through the releases that judged it", async () => {
    const served = await serve()
    expect(await (await served.post("replay", { id: "p-2" })).json()).toMatchObject({
      fidelity: "exact",
      repeats: true,
      replayed: { stable: { rule: "refund" }, canary: { rule: "large-refund", outcome: "deny" } },
    })
    expect(await errorOf(await served.post("replay", { id: "p-77" }))).toMatchObject({ status: 404 })
    const without = await serve({ releases: new Map() })
    expect(await errorOf(await without.post("replay", { id: "p-2" }))).toMatchObject({
      status: 422,
      code: "NO_RELEASES",
    })
  })

  it("asks for a release again that could not be loaded, whatever the failure was", async () => {
    const failures = [new Error("the disk is away"), new SerinError("RELEASE_UNAVAILABLE", "the server is away")]
    const get = (version: string) => {
      const failure = failures.shift()
      if (failure !== undefined) throw failure
      return RELEASES.get(version)
    }
    const served = await serve({ releases: { get } })
    expect(await errorOf(await served.post("replay", { id: "p-2" }))).toMatchObject({ status: 500 })
    expect(await errorOf(await served.post("replay", { id: "p-2" }))).toMatchObject({
      status: 422,
      code: "NO_RELEASES",
    })
    expect((await served.post("replay", { id: "p-2" })).status).toBe(200)
  })

  it("refuses what was meant for another generation, what is no id, and what another page sends", async () => {
    const served = await serve()
    const label = { example: "p-1", says: "right" }
    expect(await errorOf(await served.post("label", { ...label, generation: 0 }))).toMatchObject({
      status: 409,
      code: "CHANGED",
    })
    expect(await errorOf(await served.post("label", { ...label, says: "maybe" }))).toMatchObject({ status: 422 })
    expect(await errorOf(await served.post("label", { ...label, example: "p-77" }))).toMatchObject({ status: 422 })
    expect(await errorOf(await served.post("label", { ...label, note: "x".repeat(501) }))).toMatchObject({
      status: 422,
    })
    expect(await errorOf(await served.post("draw", { scope: "../state" }))).toMatchObject({ status: 422 })
    expect((await served.post("label", label, { "sec-fetch-site": "cross-site" })).status).toBe(403)
    expect(await list(served)).toMatchObject({ groups: [{ labels: [] }] })
    const none = await serve({ log: undefined })
    expect(await errorOf(await none.post("draw", { scope: "all" }))).toMatchObject({ status: 422, code: "NO_LOG" })
    expect(await list(none)).toMatchObject({ shows: { calls: false, replays: false } })
  })
})
