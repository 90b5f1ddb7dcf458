import { describe, expect, it } from "vitest"
import { SerinError } from "../../src/errors.js"
import { dashboardHandler } from "../../src/dashboard.js"
import type { StateStore } from "../../src/rollout/store.js"
import { memoryStore } from "../../src/stores/memory.js"
import { errorOf, NAME, PAGE_HEADERS, serveDashboard } from "./served.js"

const KILL = { verb: "kill", reason: "it deletes accounts" }

describe("the dashboard's answers", () => {
  it("say where the rollout stands and which verbs fit", async () => {
    const { get } = await serveDashboard()
    const response = await get(`api/${NAME}/status`)
    expect(response.status).toBe(200)
    const doc = (await response.json()) as { verbs: { verb: string; refused?: string }[] }
    expect(doc).toMatchObject({
      rollout: NAME,
      phase: { phase: "shadow", stage: 0 },
      words: "in shadow",
      judged: false,
    })
    expect(doc.verbs.filter(({ refused }) => refused === undefined).map(({ verb }) => verb)).toEqual([
      "kill",
      "rollback",
      "pause",
      "contain",
      "promote",
    ])
  })

  it("all forbid scripts of others, frames, copies and what is not their type", async () => {
    const { get } = await serveDashboard()
    for (const path of [`api/${NAME}/status`, "api/nothing/status", `api/rollouts`, "nowhere"]) {
      const { headers } = await get(path)
      const policy = headers.get("content-security-policy") ?? ""
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain("unsafe")
      expect(Object.fromEntries(headers)).toMatchObject({
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
      })
      expect(headers.get("access-control-allow-origin")).toBe(null)
    }
  })

  it("are below the base path, and of the rollouts that are named, alone", async () => {
    const { get } = await serveDashboard({ basePath: "/admin/serin" }, "/admin/serin")
    expect((await get(`api/${NAME}/status`)).status).toBe(200)
    expect((await get(`api/other/status`)).status).toBe(404)
    const { get: rootGet } = await serveDashboard({ basePath: "/admin/serin" })
    expect((await rootGet(`api/${NAME}/status`)).status).toBe(404)
  })

  it("tell a fault of the store to the host, and no more than that to the client", async () => {
    const told: unknown[] = []
    const store = memoryStore()
    const fails = (): Promise<never> => Promise.reject(new SerinError("STORE_UNAVAILABLE", "10.0.0.7 refused"))
    const { get } = await serveDashboard({ store: { ...store, get: fails }, onError: (error) => told.push(error) })
    const response = await get(`api/${NAME}/status`)
    expect(response.headers.get("retry-after")).toBe("1")
    const { status, message } = await errorOf(response)
    expect({ status, leaks: message.includes("10.0.0.7") }).toEqual({ status: 503, leaks: false })
    expect(told).toHaveLength(1)
  })

  it("never reject, whatever the host's functions throw", async () => {
    const broken = (): never => {
      throw new Error("secret of the host")
    }
    for (const options of [{ client: broken }, { authorize: broken }, { rollouts: broken, onError: broken }]) {
      const { get } = await serveDashboard(options)
      const response = await get(`api/${NAME}/status`)
      expect(response.status).toBeGreaterThanOrEqual(400)
      expect(await response.text()).not.toContain("secret")
    }
  })
})

describe("a verb of the dashboard", () => {
  it("moves the rollout, in the name that the host gave, with its reason", async () => {
    const { act, state } = await serveDashboard()
    const response = await act({ ...KILL, by: "somebody else" })
    expect(await response.json()).toMatchObject({ changed: true, phase: { phase: "killed", position: "stable" } })
    expect(await state()).toMatchObject({
      kill: "stable",
      last: { event: "kill", actor: { kind: "human", id: "bo" }, reason: "it deletes accounts" },
    })
  })

  it("stops a canary over a broken revision, though older ones than the last good one cannot be read either", async () => {
    const { store: whole, clock, state } = await serveDashboard()
    const { revision, generation } = await state()
    await whole.compareAndSet(`${NAME}/state`, revision, "{")
    const store: StateStore = {
      ...whole,
      async *history(key) {
        let given = 0
        for await (const kept of whole.history(key)) {
          if (++given > 2) throw new SerinError("STORE_UNAVAILABLE", "this block is bad")
          yield kept
        }
      },
    }
    const handler = dashboardHandler({ store, rollouts: [NAME], authorize: () => ({ actor: "bo" }), clock })
    const body = JSON.stringify({ ...KILL, revision, generation })
    const request = new Request(`http://localhost/api/${NAME}/act`, { method: "POST", headers: PAGE_HEADERS, body })
    expect(await (await handler(request)).json()).toMatchObject({ overBroken: true, phase: { phase: "killed" } })
  })

  it("is for those whom the host names: not by default, not without a name, not where the store can only be read", async () => {
    const codes = async (options: Parameters<typeof serveDashboard>[0]): Promise<unknown> => {
      const { act, state } = await serveDashboard(options)
      const { status, code } = await errorOf(await act(KILL))
      expect((await state()).kill).toBe("off")
      return `${status} ${code}`
    }
    expect(await codes({ authorize: undefined })).toBe("403 FORBIDDEN")
    expect(await codes({ authorize: () => true })).toBe("403 FORBIDDEN")
    expect(await codes({ authorize: () => ({ actor: "" }) })).toBe("401 UNAUTHORIZED")
    expect(await codes({ authorize: () => false })).toBe("401 UNAUTHORIZED")
    const { get, watch, caps } = memoryStore()
    expect(await codes({ store: { get, watch, caps } })).toBe("405 READ_ONLY")
  })

  it("is refused when another site's page asks for it, however it asks", async () => {
    const { act, state, handler } = await serveDashboard()
    const without = (name: string): Record<string, string> =>
      Object.fromEntries(Object.entries(PAGE_HEADERS).filter(([key]) => key !== name))
    const post = (headers: Record<string, string>, body = JSON.stringify({ ...KILL, revision: 2, generation: 1 })) =>
      handler(new Request(`http://localhost/api/${NAME}/act`, { method: "POST", headers, body }))
    const foreign = [
      act(KILL, { "sec-fetch-site": "cross-site" }),
      act(KILL, { "sec-fetch-site": "same-site" }),
      act(KILL, { "sec-fetch-site": "none" }),
      post(without("serin-dashboard")),
      post(without("sec-fetch-site")),
      post({ ...without("sec-fetch-site"), origin: "http://evil.example", host: "127.0.0.1:8321" }),
      post({ ...without("sec-fetch-site"), origin: "null", host: "127.0.0.1:8321" }),
    ]
    for (const response of foreign) expect(await errorOf(await response)).toMatchObject({ code: "CROSS_ORIGIN" })
    expect((await post({ ...PAGE_HEADERS, "content-type": "text/plain" })).status).toBe(415)
    expect((await state()).kill).toBe("off")
    const own = { ...without("sec-fetch-site"), origin: "http://127.0.0.1:8321", host: "127.0.0.1:8321" }
    expect((await post(own)).status).toBe(200)
  })

  it("is refused under a name that is not the server's, where names are given", async () => {
    const { act, get } = await serveDashboard({ hosts: ["127.0.0.1:8321"] })
    expect(await errorOf(await act(KILL, { host: "evil.example" }))).toMatchObject({ status: 421, code: "MISDIRECTED" })
    expect((await get(`api/${NAME}/status`, { host: "127.0.0.1:8321" })).status).toBe(200)
  })

  it("that was meant for another state is refused, and says what that is", async () => {
    const { act, state, apply } = await serveDashboard()
    const seen = await state()
    await apply({ type: "pause", actor: { kind: "human", id: "ana" }, reason: "wait" })
    const { revision, generation } = seen
    const answer = await errorOf(await act({ verb: "promote", reason: "fine", revision, generation }))
    expect(answer).toMatchObject({ status: 409, code: "CHANGED" })
    expect(answer.message).toContain("revision 3 now (pause by ana)")
  })

  it("that takes the canary away is not refused because the rollout moved on, but where it is another canary", async () => {
    const { act, state, apply } = await serveDashboard()
    const { revision, generation } = await state()
    await apply({ type: "pause", actor: { kind: "human", id: "ana" }, reason: "wait" })
    expect(await errorOf(await act({ ...KILL, revision, generation: generation - 1 }))).toMatchObject({
      code: "CHANGED",
    })
    expect((await act({ ...KILL, revision, generation })).status).toBe(200)
    // From here on, `stable` serves more than there is.
    const killed = await state()
    expect((await act({ ...KILL, position: "deny" })).status).toBe(200)
    const back = { ...KILL, revision: killed.revision, generation }
    expect(await errorOf(await act(back))).toMatchObject({ code: "CHANGED" })
  })

  it("that does not fit is refused with the verb that does", async () => {
    const { act } = await serveDashboard()
    const answer = await errorOf(await act({ verb: "retry", reason: "again" }))
    expect(answer).toMatchObject({ status: 409, code: "TRANSITION_REFUSED" })
    expect(answer.message).toContain("rollback")
  })

  it.each([
    ["no verb", {}],
    ["a verb that there is not", { verb: "explode" }],
    ["a verb of nobody's", { verb: "tick" }],
    ["no reason", { reason: undefined }],
    ["an empty reason", { reason: " \n" }],
    ["a reason without end", { reason: "x".repeat(501) }],
    ["a position that there is not", { position: "off" }],
    ["no revision", { revision: undefined }],
    ["a revision that is none", { revision: "2" }],
  ])("with %s is refused", async (_, body) => {
    const { act, state } = await serveDashboard()
    const asked = Object.keys(body).length === 0 ? { reason: "why" } : { ...KILL, ...body }
    expect(await errorOf(await act(asked))).toMatchObject({ status: 422, code: "INVALID" })
    expect((await state()).kill).toBe("off")
  })

  it("has a body of bounded size that is a JSON object", async () => {
    const { handler } = await serveDashboard()
    const post = (body: string) =>
      handler(new Request(`http://localhost/api/${NAME}/act`, { method: "POST", headers: PAGE_HEADERS, body }))
    expect((await post(`{"reason":"${"x".repeat(17_000)}"}`)).status).toBe(413)
    for (const body of ["[]", "null", "{", '"kill"', ""]) expect((await post(body)).status).toBe(422)
  })

  it("can be asked for ten times at once, and then once in two seconds, by each actor", async () => {
    let actor = "bo"
    const { act, clock } = await serveDashboard({ authorize: () => ({ actor }) })
    for (let i = 0; i < 10; i++) expect((await act(KILL)).status).toBe(200)
    const refused = await act(KILL)
    expect(refused.headers.get("retry-after")).toBe("2")
    expect(await errorOf(refused)).toMatchObject({ status: 429, code: "TOO_MANY" })
    actor = "ana"
    expect((await act(KILL)).status).toBe(200)
    actor = "bo"
    clock.advance(2000)
    expect((await act(KILL)).status).toBe(200)
    expect((await act(KILL)).status).toBe(429)
  })
})

describe("reading", () => {
  it("says who asks and what there is", async () => {
    const { get } = await serveDashboard()
    expect(await (await get("api/rollouts")).json()).toEqual({ rollouts: [NAME], actor: "bo", acts: true })
    const { get: getUnnamed } = await serveDashboard({ authorize: undefined })
    expect(await (await getUnnamed("api/rollouts")).json()).toEqual({ rollouts: [NAME], actor: null, acts: false })
  })

  it("is limited by client, and the next one is let in", async () => {
    const { get } = await serveDashboard({ client: ({ headers }) => headers.get("x-client") ?? "" })
    const statuses = await Promise.all(
      Array.from({ length: 1001 }, async () => (await get("api/rollouts", { "x-client": "a" })).status),
    )
    expect(statuses.filter((status) => status === 429)).toHaveLength(1)
    expect((await get("api/rollouts", { "x-client": "b" })).status).toBe(200)
  })
})

describe("dashboardHandler", () => {
  const store = memoryStore()
  it.each([
    ["no rollouts", { store }, "rollouts must name"],
    ["a name that is none", { store, rollouts: ["../a"] }, "cannot name a rollout"],
    ["a base path with a slash at its end", { store, rollouts: [], basePath: "/a/" }, "basePath must be like"],
    ["an option that nobody reads", { store, rollouts: [], base: "/a" }, "no option base"],
    ["no store", { rollouts: [] }, "store must have the methods"],
  ])("refuses %s", (_, options, message) => {
    expect(() => dashboardHandler(options as Parameters<typeof dashboardHandler>[0])).toThrow(message)
  })
})
