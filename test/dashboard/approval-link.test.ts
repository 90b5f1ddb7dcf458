import { describe, expect, it } from "vitest"
import { approvalKeys, signGrant } from "../../src/notify/approval-token.js"
import { slack } from "../../src/channels/slack.js"
import { notifyPeople } from "../../src/notify/notify-people.js"
import { transitionMessage } from "../../src/notify/transition-message.js"
import type { RolloutState } from "../../src/rollout/state.js"
import { verdictOf } from "../rollout/states.js"
import { NAME, serveDashboard, T0 } from "./served.js"

const SECRET = "a secret of thirty-two characters"
const HOUR = 3_600_000
const SPEC = `
rollout: ${NAME}
stable: 1.4.0
canary:
  release: 1.5.0
  stages: [{ percentage: 5, approval: true }, 100]
  observation_period: 1h
  min_sessions: 10
  acceptance_criteria: { deny_rate_delta_max: 0.02 }
`

/** A rollout that waits for an approval, and the address in the message that says so. */
async function waiting() {
  const served = await serveDashboard({ approvals: { secret: SECRET }, authorize: () => false }, "", SPEC)
  const passes = (): Promise<RolloutState> =>
    served.apply({ type: "tick", actor: { kind: "controller", id: "c" }, verdict: verdictOf("pass") })
  for (let i = 0; i < 3; i++) {
    served.clock.advance(2 * HOUR)
    await passes()
  }
  const before = await served.state()
  expect(before.holds.map(({ reason }) => reason)).toEqual(["approval"])
  const channel = slack({ url: "https://hooks.example/x", name: "ops" })
  const { telling } = notifyPeople({
    channels: [channel],
    dashboardUrl: "https://serin.example/",
    approvals: { secret: SECRET, channels: ["ops"] },
  })
  const url = transitionMessage(null, before, telling(channel))?.links.approve
  return { ...served, before, url: new URL(url ?? "") }
}

const post = (handler: (request: Request) => Promise<Response>, url: URL, fields: Record<string, string>) =>
  handler(new Request(url.href.split("?")[0]!, { method: "POST", body: new URLSearchParams(fields) }))

const tokenOf = (url: URL): string => url.searchParams.get("token") ?? ""

describe("the link of a message that asks for an approval", () => {
  it("shows a page that asks, and changes nothing, however often a preview or a scanner opens it", async () => {
    const { handler, url, before, state } = await waiting()
    expect(url.href).toMatch(/^https:\/\/serin\.example\/api\/refund-agent\/approve\?token=/)
    for (let i = 0; i < 3; i++) {
      const answer = await handler(new Request(url))
      const page = await answer.text()
      expect(answer.status).toBe(200)
      expect(page).toContain("Approve 1.5.0 of refund-agent?")
      expect(page).toContain("in the name of the channel “ops”")
      expect(page).not.toMatch(/<script|https?:\/\//)
    }
    expect(await state()).toEqual(before)
  })

  it("approves by its form, with a reason, in the name of the channel, though nobody is let in otherwise", async () => {
    const { handler, url, state } = await waiting()
    const answer = await post(handler, url, { token: tokenOf(url), reason: "looked at the denials" })
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining("Approved")])
    expect((await state()).last).toMatchObject({
      event: "approve",
      actor: { kind: "human", id: "ops (approval link)" },
      reason: "looked at the denials",
    })
    const again = await post(handler, url, { token: tokenOf(url), reason: "again" })
    expect([again.status, await again.text()]).toEqual([
      409,
      expect.stringContaining("approved already, by ops (approval link)"),
    ])
    expect((await handler(new Request(url))).status).toBe(409)
  })

  it("has a policy for its page that lets nothing run, nothing frame it and nobody learn its address", async () => {
    const { handler, url } = await waiting()
    const { headers } = await handler(new Request(url))
    expect(headers.get("content-security-policy")).toMatch(
      /^default-src 'none'; style-src 'sha256-[\w+/=]+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
    )
    expect(headers.get("referrer-policy")).toBe("no-referrer")
    expect(headers.get("cache-control")).toBe("no-store")
    expect(headers.get("x-frame-options")).toBe("DENY")
  })

  it("is refused without a reason, with another's token, for another rollout, and with none", async () => {
    const { handler, url, before, state } = await waiting()
    const token = tokenOf(url)
    const forged = signGrant(
      { rollout: NAME, generation: 1, stage: 1, revision: before.revision, to: "ops", expires: T0 + 99 * HOUR },
      approvalKeys("x".repeat(32)),
    )
    const other = signGrant(
      { rollout: "other", generation: 1, stage: 1, revision: before.revision, to: "ops", expires: T0 + 99 * HOUR },
      approvalKeys(SECRET),
    )
    const outcomes: number[] = []
    for (const fields of [
      { token, reason: " " },
      { token },
      { token, reason: "x".repeat(501) },
      { token: forged, reason: "y" },
      { token: other, reason: "y" },
      { reason: "y" },
    ])
      outcomes.push((await post(handler, url, fields as Record<string, string>)).status)
    expect(outcomes).toEqual([422, 422, 422, 403, 403, 403])
    expect(await state()).toEqual(before)
  })

  it("is over after a day", async () => {
    const { handler, url, clock } = await waiting()
    clock.advance(24 * HOUR)
    const answer = await post(handler, url, { token: tokenOf(url), reason: "late" })
    expect([answer.status, await answer.text()]).toEqual([409, expect.stringContaining("was good until")])
  })

  it("is tried by nobody for long: tries are limited", async () => {
    const { handler, url } = await waiting()
    const statuses = new Set<number>()
    for (let i = 0; i < 12; i++) statuses.add((await post(handler, url, { token: `guess-${i}`, reason: "x" })).status)
    expect([...statuses]).toEqual([403, 429])
  })

  it("is no address where no secret was given", async () => {
    const { handler } = await serveDashboard()
    expect((await handler(new Request(`https://x/api/${NAME}/approve?token=a`))).status).toBe(404)
  })

  it("stands in messages of the channels that may approve, and of no other", () => {
    const [ops, all] = ["ops", "all"].map((name) => slack({ url: "https://hooks.example/x", name }))
    const { telling } = notifyPeople({
      channels: [ops!, all!],
      dashboardUrl: "https://serin.example/base?x#y",
      approvals: { secret: SECRET, channels: ["ops"] },
    })
    expect(telling(all!).approve).toBeUndefined()
    expect(telling(ops!).approve).toBeTypeOf("function")
    const wrong = { channels: [ops!], approvals: { secret: SECRET, channels: ["ops"] } }
    expect(() => notifyPeople(wrong)).toThrow(/approvals need dashboardUrl/)
    expect(() =>
      notifyPeople({ ...wrong, dashboardUrl: "https://x/", approvals: { secret: SECRET, channels: ["opps"] } }),
    ).toThrow(/approvals\.channels has "opps"/)
  })
})
