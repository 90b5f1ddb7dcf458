import { createHmac, timingSafeEqual } from "node:crypto"
import { describe, expect, it } from "vitest"
import { webhook } from "../../src/channels/webhook.js"
import type { WebhookOptions } from "../../src/channels/webhook.js"
import { listen } from "../../src/serve/listen.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { messageWith } from "./message.js"

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`
const OLD = `whsec_${Buffer.alloc(24, 8).toString("base64")}`
const url = "https://hooks.example/T0/secret-path"

const never = new AbortController().signal
const options = { signal: never, idempotencyKey: "demo/1/5" }

/** What a receiver does, by the words of Standard Webhooks alone. */
function isSigned(headers: Headers, body: string, secret: string): boolean {
  const key = Buffer.from(secret.slice("whsec_".length), "base64")
  const content = `${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.${body}`
  const expected = createHmac("sha256", key).update(content).digest()
  return (headers.get("webhook-signature") ?? "").split(" ").some((signature) => {
    const given = Buffer.from(signature.replace(/^v1,/, ""), "base64")
    return given.length === expected.length && timingSafeEqual(given, expected)
  })
}

/** Send one message to a server that answers so, and say what became of it. */
async function send(answer: () => Response | Promise<Response>, more: Partial<WebhookOptions> = {}) {
  const seen: Request[] = []
  const clock = fakeClock(1_700_000_000_000)
  const answers = (input: Parameters<typeof fetch>[0], init?: RequestInit): Promise<Response> => {
    seen.push(new Request(input instanceof URL ? input.href : (input as string), init))
    return Promise.resolve(answer())
  }
  const channel = webhook({ url, secret: SECRET, fetch: answers, clock, ...more })
  const outcome = channel.send(messageWith(), options).then(
    () => ({ code: "told", message: "", retryAfterMs: undefined }),
    (error: { code: string; message: string; retryAfterMs?: number }) => error,
  )
  return { outcome, seen, clock }
}

describe("a webhook", () => {
  it("is signed as Standard Webhooks says, by each of its secrets, with the key of the message as its id", async () => {
    const { outcome, seen } = await send(() => new Response(null, { status: 204 }), { secret: [SECRET, OLD] })
    expect((await outcome).code).toBe("told")
    const [request] = seen
    const body = await request!.text()
    expect(JSON.parse(body)).toEqual(messageWith())
    expect(request!.headers.get("webhook-id")).toBe("demo/1/5")
    expect(request!.headers.get("webhook-timestamp")).toBe("1700000000")
    expect([SECRET, OLD].map((secret) => isSigned(request!.headers, body, secret))).toEqual([true, true])
    expect(isSigned(request!.headers, `${body} `, SECRET)).toBe(false)
    expect(isSigned(request!.headers, body, `whsec_${Buffer.alloc(32, 9).toString("base64")}`)).toBe(false)
  })

  it.each([
    [200, "told"],
    [400, "CHANNEL_REFUSED"],
    [404, "CHANNEL_REFUSED"],
    [410, "CHANNEL_REFUSED"],
    [408, "CHANNEL_UNAVAILABLE"],
    [429, "CHANNEL_UNAVAILABLE"],
    [500, "CHANNEL_UNAVAILABLE"],
    [503, "CHANNEL_UNAVAILABLE"],
  ])("that is answered with %i is %s", async (status, code) => {
    const { outcome } = await send(() => new Response("why", { status }))
    expect((await outcome).code).toBe(code)
  })

  it("follows no redirect", async () => {
    const { outcome, seen } = await send(
      () => new Response(null, { status: 307, headers: { location: "http://10.0.0.1/" } }),
    )
    expect((await outcome).message).toMatch(/307, a redirect, which is not followed/)
    expect(seen.map(({ redirect }) => redirect)).toEqual(["manual"])
  })

  it.each([
    ["7", 7000],
    ["Tue, 14 Nov 2023 22:13:30 GMT", 10_000],
    ["soon", undefined],
  ])("hands on for how long the receiver wants to be left alone: %s", async (header, ms) => {
    const { outcome } = await send(() => new Response(null, { status: 429, headers: { "retry-after": header } }))
    expect((await outcome).retryAfterMs).toBe(ms)
  })

  it("waits for an answer no longer than its deadline, also from who ignores the signal", async () => {
    const { outcome, clock } = await send(() => new Promise<Response>(() => {}), { timeoutMs: 500 })
    clock.advance(500)
    expect((await outcome).message).toBe("hooks.example does not answer within 500 ms")
    expect(clock.pending()).toBe(0)
  })

  it("shows nothing of its address but the host, and nothing of a body but its first words", async () => {
    const { outcome } = await send(() => new Response(`no\u001b[2J${"x".repeat(10_000)}`, { status: 500 }))
    const { message } = await outcome
    expect(message).not.toContain("secret-path")
    expect(message).toMatch(/^hooks\.example answers 500: no \[2Jx+$/)
    expect(message.length).toBeLessThan(260)
  })

  it.each([
    [{ url: "http://hooks.example/" }, /must begin with https:\/\/, got http:\/\/hooks\.example; `allowHttp: true`/],
    [{ url: "https://me:pass@hooks.example/" }, /must have no name and password/],
    [{ url: "file:///etc/passwd" }, /must begin with https/],
    [{ url: "nonsense" }, /must be an address/],
    [{ secret: "hunter2" }, /secret must be "whsec_" and base64 of 24 to 64 bytes, got something else; make one/],
    [{ secret: [] }, /one secret or a list/],
    [{ timeoutMs: 0 }, /webhook\.timeoutMs must be ms above 0/],
    [{ name: "Ops Team" }, /webhook\.name must be/],
    [{ on: ["rolledback"] }, /webhook\.on has no "rolledback"; its kinds are killed/],
    [{ secrets: [] }, /webhook has no option secrets; did you mean secret\?/],
  ])("refuses %o, and says what to write", (wrong, message) => {
    expect(() => webhook({ url, secret: SECRET, ...(wrong as object) })).toThrow(message)
  })

  it("may cross the network in clear where somebody says so, and on this machine", () => {
    for (const more of [
      { url: "http://127.0.0.1:9/x" },
      { url: "http://[::1]/" },
      { url: "http://relay/", allowHttp: true },
    ])
      expect(webhook({ secret: SECRET, ...more }).name).toBe("webhook")
  })

  it("arrives at a real server, which verifies it", async () => {
    const received: { signed: boolean; body: string }[] = []
    const server = await listen(
      async (request) => {
        const body = await request.text()
        received.push({ signed: isSigned(request.headers, body, SECRET), body })
        return new Response(null, { status: received.length === 1 ? 503 : 202 })
      },
      { port: 0 },
    )
    const channel = webhook({ url: `${server.url}/hook`, secret: SECRET })
    await expect(channel.send(messageWith(), options)).rejects.toMatchObject({ code: "CHANNEL_UNAVAILABLE" })
    await channel.send(messageWith(), options)
    await server.close()
    expect(received).toEqual([0, 1].map(() => ({ signed: true, body: JSON.stringify(messageWith()) })))
  })
})
