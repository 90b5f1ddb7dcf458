import { once } from "node:events"
import { createServer } from "node:http"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { opaServer } from "../../src/engines/opa.js"
import type { OpaServerOptions } from "../../src/engines/opa.js"
import { createGuard } from "../../src/guard.js"
import type { Call } from "../../src/model/call.js"
import type { Evaluation, Policy } from "../../src/release/ports.js"
import { fakeState, stateWith } from "../guard/harness.js"

const context = { sessionId: "s1", startedAt: 0 }
const refund = (amount: number): Call => ({ action: "refund", input: { amount } })

interface Asked {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingMessage["headers"]
  readonly body: unknown
}

/** A server on loopback that answers as OPA does, and remembers what it was asked. */
describe("opaServer", () => {
  let server: Server
  let url: string
  let asked: Asked[] = []
  let answer: (response: ServerResponse, question: Asked) => void
  const json = (response: ServerResponse, body: unknown, status = 200): void =>
    void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))

  beforeAll(async () => {
    server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const { method, headers } = request
        const question = {
          method,
          url: request.url,
          headers,
          body: JSON.parse(Buffer.concat(chunks).toString()) as unknown,
        }
        asked.push(question)
        answer(response, question)
      })
    })
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })
  beforeEach(() => {
    asked = []
    answer = (response, { url, body }) => {
      const { amount } = (body as { input: { input: { amount: number } } }).input.input
      json(response, { result: amount <= (url?.includes("v2") ? 50 : 100) })
    }
  })

  const policy = (options: Partial<OpaServerOptions> = {}): Policy<Call, Promise<Evaluation>> =>
    opaServer({ url, path: "agent/decision", ...options })
  const failure = async (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => "it answered",
      (error: unknown) => (error as Error).message,
    )

  it("asks for the rule with the call as input, as the host says it", async () => {
    expect(await policy({ headers: { authorization: "Bearer t" } }).evaluate(refund(5), context)).toBe("allow")
    expect(asked).toMatchObject([
      {
        method: "POST",
        url: "/v1/data/agent/decision?strict-builtin-errors=true",
        headers: { "content-type": "application/json", authorization: "Bearer t" },
        body: { input: { action: "refund", input: { amount: 5 }, session: { id: "s1" } } },
      },
    ])
    answer = (response) => json(response, { result: { decision: "escalate", rule: "large" }, decision_id: "x" })
    const told = await policy({ url: `${url}/opa/`, input: () => 7 }).evaluate(refund(5), context)
    expect(told).toEqual({ outcome: "escalate", rule: "large" })
    expect(asked[1]).toMatchObject({
      url: "/opa/v1/data/agent/decision?strict-builtin-errors=true",
      body: { input: 7 },
    })
  })

  it("fails on everything but a result", async () => {
    const told = async (how: typeof answer, options?: Partial<OpaServerOptions>): Promise<string> => {
      answer = how
      return failure(policy(options).evaluate(refund(5), context))
    }
    expect(await told((response) => json(response, {}))).toMatch(/has no result: .* is undefined for this input/)
    expect(await told((response) => json(response, []))).toMatch(/has no result/)
    expect(await told((response) => json(response, { result: null }))).toMatch(/answered null/)
    expect(await told((response) => json(response, { result: { allow: true, deny: [] } }))).toMatch(
      /unknown key "deny"/,
    )
    expect(await told((response) => json(response, { code: "internal_error" }, 500))).toBe(
      "OPA answered with status 500",
    )
    expect(await told((response) => json(response, { result: true }, 201))).toBe("OPA answered with status 201")
    const away = { location: `${url}/elsewhere` }
    expect(await told((response) => void response.writeHead(307, away).end())).toBe("OPA answered with status 307")
    expect(await told((response) => void response.end("<html>"))).toMatch(/JSON/)
    expect(await told((response) => json(response, { result: "x".repeat(99) }), { maxBytes: 64 })).toMatch(
      /larger than 64 bytes/,
    )
    expect(await told((response) => void response.destroy())).toMatch(/fetch failed/)
    // A server that never ends its answer, and says nothing of its length.
    const endless = (response: ServerResponse): void => {
      const write = (): void => {
        while (!response.destroyed && response.write("x".repeat(16_384))) continue
        if (!response.destroyed) response.once("drain", write)
      }
      write()
    }
    expect(await told(endless)).toMatch(/larger than 65536 bytes/)
    // Nobody was asked twice, and nobody elsewhere.
    expect(new Set(asked.map((one) => one.url)).size).toBe(1)
    expect(await failure(policy().evaluate({ action: "refund", input: { amount: 5n } }, context))).toMatch(/bigint/)
  })

  it("judges for both arms of an async guard, each with its own rule, and ends a question at the guard's limit", async () => {
    const releases = new Map([
      ["1.0.0", { version: "1.0.0", policy: policy({ path: "agent/v1/decision" }) }],
      ["2.0.0", { version: "2.0.0", policy: policy({ path: "agent/v2/decision" }) }],
    ])
    const state = fakeState(stateWith())
    const guard = createGuard({
      async: true,
      rollout: "demo",
      state,
      releases,
      timeoutMs: { stable: 10_000, canary: 200 },
    })
    const sessions = Array.from({ length: 64 }, (_, i) => guard.session(`s-${i}`))
    const [stable, canary] = [
      sessions.find(({ arm }) => arm === "stable")!,
      sessions.find(({ arm }) => arm === "canary")!,
    ]
    expect(await stable.evaluate(refund(80))).toMatchObject({ outcome: "allow", arm: "stable" })
    expect(await canary.evaluate(refund(80))).toMatchObject({ outcome: "deny", arm: "canary" })
    await guard.idle()

    // The canary's rule never answers: its question is ended, and stable's answer is served.
    let ended: Promise<unknown> | undefined
    answer = (response, { url }) => {
      if (url?.includes("v2")) ended ??= once(response, "close")
      else json(response, { result: true })
    }
    expect(await canary.evaluate(refund(10))).toMatchObject({
      outcome: "allow",
      source: "fallback",
      errorType: "timeout",
    })
    await ended
    guard.close()
  })

  it("refuses options that lead nowhere", () => {
    expect(() => opaServer({ url: "127.0.0.1:8181", path: "a" })).toThrow(/url must be an address such as http/)
    expect(() => opaServer({ url: "http://me:secret@127.0.0.1", path: "a" })).toThrow(/headers\.authorization/)
    expect(() => opaServer({ url: "http://127.0.0.1/?a=1", path: "a" })).toThrow(/no query/)
    for (const path of ["", "/agent", "agent/../secret", "agent?x", "data.agent.decision"]) {
      expect(() => opaServer({ url: "http://127.0.0.1", path })).toThrow(/path must be names joined by/)
    }
    expect(() => opaServer({ url: "http://127.0.0.1", path: "a", maxBytes: 0 })).toThrow(/maxBytes must be/)
    expect(() => opaServer({ url: "http://127.0.0.1", path: "a", timeout: 1 } as never)).toThrow(/no option timeout/)
    expect(() => opaServer({ url: "http://127.0.0.1", path: "a", headers: { "a b": "" } })).toThrow(TypeError)
  })
})
