import { beforeEach, describe, expect, it } from "vitest"
import { listen } from "../../src/serve/listen.js"
import { useBench } from "./harness.js"

const bench = useBench()
beforeEach(() => bench().serin("init"))

describe("serin notify", () => {
  it("sends a test message through each channel and says what became of it", async () => {
    const bodies: string[] = []
    const server = await listen(
      async (request) => {
        bodies.push(await request.text())
        return new Response(null, { status: request.url.endsWith("/gone") ? 410 : 200 })
      },
      { port: 0 },
    )
    await bench().write("secret", `whsec_${Buffer.alloc(32).toString("base64")}\n`)
    await bench().write(
      "safety/notify.yaml",
      `channels:
  - webhook: { url: "${server.url}/ok", secret: { file: ../secret } }
  - slack: { name: ops, url: { env: SLACK_URL }, on: [killed] }
`,
    )
    const io = { env: { USER: "ana", SLACK_URL: `${server.url}/gone` } }
    const listed = await bench().serinWith(io, "notify")
    expect([listed.code, listed.out]).toEqual([
      0,
      expect.stringMatching(/^webhook: killed, contained.*\nops: killed\n$/),
    ])
    expect(bodies).toEqual([])
    const { code, out } = await bench().serinWith(io, "notify", "--test", "--json")
    await server.close()
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      sent: [
        { channel: "webhook", outcome: "delivered" },
        {
          channel: "ops",
          outcome: "failed",
          problem: expect.stringMatching(/^CHANNEL_REFUSED: 127\.0\.0\.1:\d+ answers 410$/) as string,
        },
      ],
    })
    expect(bodies).toHaveLength(2)
  })

  it.each([
    ["channels: []\nchanels: []", /notify\.yaml:2:1: unknown key `chanels` \(did you mean `channels`\?\)/],
    [
      "channels:\n  - slack: { url: https://hooks.example/secret }",
      /notify\.yaml:2:19: `channels\[0\]\.slack\.url` is a secret, and stands in the file \(name it: \{ env: NAME \}/,
    ],
    ["channels:\n  - slack: { url: { env: NOWHERE } }", /names \$NOWHERE, which is not set/],
    [
      "channels:\n  - slack: { url: { clear: http://hooks.example } }",
      /`channels\[0\]\.slack` cannot be: slack\.url must begin with https/,
    ],
    ["channels:\n  - command: { run: [x], on: [kiled] }", /command\.on has no "kiled"; its kinds are/],
    ["channels:\n  - command: { run: x }", /`channels\[0\]\.command\.run` must be a list/],
    ["channels:\n  - smoke: { signal: true }", /unknown key `smoke`/],
    ["dashboard_url: https://x/", /the file has no `channels`/],
  ])("refuses %j, and says where and why", async (text, message) => {
    await bench().write("safety/notify.yaml", `${text}\n`)
    const { code, err } = await bench().serin("notify")
    expect(code).toBe(1)
    expect(err).toMatch(message)
    expect(err).not.toMatch(/hooks\.example\/secret/)
  })

  it("refuses channels that cannot be told apart, and links that lead nowhere", async () => {
    const channels = "channels:\n  - command: { run: [x] }\n"
    await bench().write("safety/notify.yaml", `${channels}  - command: { run: [y] }\n`)
    expect((await bench().serin("notify")).err).toMatch(/two channels of notify are called command/)
    await bench().write(
      "safety/notify.yaml",
      `${channels}approvals: { secret: { clear: ${"x".repeat(32)} }, channels: [command] }\n`,
    )
    expect((await bench().serin("notify")).err).toMatch(/approvals need dashboardUrl/)
  })

  it("has links answered by `serin serve` only with a secret that nobody guesses", async () => {
    await bench().write("short", "hunter2\n")
    const { code, err } = await bench().serin("serve", "--port", "0", "--approval-secret", "short")
    expect([code, err]).toEqual([2, expect.stringMatching(/short: approvals\.secret must have 32 characters at least/)])
    expect(err).not.toContain("hunter2")
  })

  it("says what to write where there is no file", async () => {
    expect((await bench().serin("notify")).err).toMatch(
      /there is no notify\.yaml beside the rollout's file; --notify names one/,
    )
    expect((await bench().serin("notify", "--notify", "other.yaml")).err).toMatch(/other\.yaml cannot be read/)
  })
})
