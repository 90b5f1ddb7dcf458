import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { slack } from "../../src/channels/slack.js"
import { slackPayload } from "../../src/channels/slack-payload.js"
import type { SlackBlock } from "../../src/channels/slack-payload.js"
import { runs } from "../runs.js"
import { messageWith } from "./message.js"

const textsOf = (blocks: readonly SlackBlock[]) =>
  blocks.flatMap((block) => (block.type === "context" ? block.elements : [block.text]))

describe("a message to Slack", () => {
  const message = messageWith({
    title: "demo: waits",
    why: "looked <!channel> & <https://evil|here>",
    next: ['`serin approve --reason "…"` & more'],
    links: { dashboard: "https://s/x?a=1&b=<2", approve: "https://s/approve?token=a|b" },
    undelivered: 2,
  })

  it("has blocks, and a text for those who show none", () => {
    const { text, blocks } = slackPayload(message)
    expect(text).toBe("demo: waits: looked &lt;!channel&gt; &amp; &lt;https://evil|here&gt;")
    expect(blocks.map(({ type }) => type)).toEqual(["header", "section", "section", "section", "section", "context"])
    expect(textsOf(blocks).map(({ text: one }) => one)).toEqual([
      "demo: waits",
      message.why,
      '• `serin approve --reason "…"` &amp; more',
      "<https://s/approve?token=a%7Cb|Approve this stage…>  ·  <https://s/x?a=1&amp;b=&lt;2|Dashboard>",
      "2 messages before this one could not be delivered",
      "idle, by serin notify --test, 2023-11-14T22:13:20Z, demo/test/1700000000000",
    ])
  })

  it("lets no text of others become markup, and keeps to Slack's lengths", () => {
    const nasty = fc.string({ unit: "grapheme", maxLength: 4000 }).map((text) => `<!here>${text}&<@U1>`)
    fc.assert(
      fc.property(nasty, nasty, nasty, (title, why, id) => {
        const { text, blocks } = slackPayload(messageWith({ title, why, by: { kind: "human", id }, next: [why] }))
        expect(text).not.toMatch(/[<>]/)
        for (const one of textsOf(blocks)) {
          expect(one.text.length).toBeLessThanOrEqual(3000)
          if (one.type === "mrkdwn") expect(one.text).not.toMatch(/[<>]/)
        }
        expect(textsOf(blocks)[0]?.text.length).toBeLessThanOrEqual(150)
      }),
      { numRuns: runs(20) },
    )
  })

  it("is posted, and its address is shown to nobody", async () => {
    const bodies: unknown[] = []
    const fetch = (_: unknown, init?: RequestInit): Promise<Response> => {
      bodies.push(JSON.parse(String(init?.body)))
      return Promise.resolve(new Response("no_service", { status: 404 }))
    }
    const channel = slack({ url: "https://hooks.slack.example/services/T/B/secret", fetch })
    const sent = channel.send(message, { signal: new AbortController().signal, idempotencyKey: "k" })
    await expect(sent).rejects.toMatchObject({
      code: "CHANNEL_REFUSED",
      message: "hooks.slack.example answers 404: no_service",
    })
    expect(bodies).toEqual([slackPayload(message)])
  })
})
