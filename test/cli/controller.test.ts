import { beforeEach, describe, expect, it } from "vitest"
import { evidenceKey, leaderKey } from "../../src/controller/keys.js"
import { parseBeat } from "../../src/rollout/beat.js"
import { storeSink } from "../../src/sources/store-sink.js"
import { paired } from "../controller/evidence.js"
import { publicationOf } from "../evidence/publications.js"
import { listen } from "../../src/serve/listen.js"
import { keyPair } from "../signing/keys.js"
import { controllingOn } from "./controlling.js"
import { NAME, useBench } from "./harness.js"

const bench = useBench()

beforeEach(async () => {
  await bench().serin("init")
  await bench().serin("start")
})

/** What one process of the fleet has counted: it judged by both releases, and the canary denies every second call. */
async function publish(publisher: string, sessions: number): Promise<void> {
  const { strata } = paired(1, 2, sessions, (n) => n % 2 === 0)
  const { salt } = await bench().state()
  const diffs = [{ action: "refund", stable: { outcome: "allow" }, canary: { outcome: "deny" }, calls: sessions }]
  const text = publicationOf({ rollout: NAME, publisher, salt, strata, diffs })
  await storeSink(bench().store).put(`${evidenceKey(NAME)}/${publisher}`, text)
}

const controlling = (...argv: string[]) => controllingOn(bench, argv)

describe("serin controller", () => {
  it("judges what processes publish together, tells each revision, and leaves the lead when it is ended", async () => {
    const controller = controlling()
    await controller.until(" leads\n")
    await controller.until("revision 3 (lead by ")
    // Neither of them alone has seen enough.
    await publish("one.a", 100)
    await publish("two.a", 100)
    await controller.until("rolled back")
    expect(
      controller
        .out()
        .split("\n")
        .slice(0, -1)
        .every((line) => /^2026-01-01T00:\d\d:\d\dZ refund-agent: /.test(line)),
    ).toBe(true)
    expect(await controller.end()).toBe(0)
    const { last } = await bench().state()
    expect(last).toMatchObject({ event: "rollback", verdict: { sessions: { paired: 200 } } })
    expect(parseBeat((await bench().store.get(leaderKey(NAME)))!.envelope).holder).toBeNull()
    expect((await bench().serin("explain")).out).toContain("refund")
  })

  it("tells whom notify.yaml names of what happened, and says so", async () => {
    const kinds: string[] = []
    const server = await listen(
      async (request) => {
        kinds.push(((await request.json()) as { kind: string }).kind)
        return new Response(null, { status: 204 })
      },
      { port: 0 },
    )
    const secret = `whsec_${Buffer.alloc(32).toString("base64")}`
    await bench().write(
      "safety/notify.yaml",
      `channels:\n  - webhook: { url: "${server.url}/", secret: { clear: ${secret} } }\n`,
    )
    const controller = controlling()
    await controller.until("told webhook (standing, refund-agent/1/")
    await publish("one.a", 200)
    await controller.until("told webhook (rolled_back, refund-agent/1/")
    expect(await controller.end()).toBe(0)
    await server.close()
    expect(kinds[0]).toBe("standing")
    expect(kinds.filter((kind) => kind === "rolled_back")).toHaveLength(1)
  })

  it("does not begin where it could write nothing that anybody follows, and says what to name", async () => {
    const key = keyPair()
    for (const [name, text] of [
      ["k", key.privatePem],
      ["k.pub", key.publicPem],
    ] as const)
      await bench().write(name, text)
    const reading = await bench().serin("controller", "--trusted-keys", "k.pub")
    expect(reading.code).toBe(2)
    expect(reading.err).toContain("the public keys let you read alone; name the state key with --state-key FILE")
    expect((await bench().serin("sign", "--state-key", "k", "--reason", "from today on")).code).toBe(0)
    const unsigned = await bench().serin("controller")
    expect(unsigned.code).toBe(1)
    expect(unsigned.err).toMatch(/^STATE_UNTRUSTED: refund-agent\/state is signed: name the state key/)
    expect(await bench().store.get(leaderKey(NAME))).toBeNull()
  })

  it("says why nobody leads where what is in the leader's place cannot be trusted, and leads after 3 s of silence", async () => {
    const key = keyPair()
    await bench().write("k", key.privatePem)
    await bench().serin("sign", "--state-key", "k", "--reason", "from today on")
    await bench().store.compareAndSet(leaderKey(NAME), 0, '{"format":"serin/leader/1"}')
    const controller = controlling("--state-key", "k")
    await controller.until("does not lead: ")
    expect(controller.out()).toContain("refund-agent/leader is not trusted: it is not signed")
    await controller.until(" leads\n")
    expect(await controller.end()).toBe(0)
  })

  it("writes a document a line with --json", async () => {
    const controller = controlling("--json")
    await controller.until('"event":"leads"')
    expect(await controller.end()).toBe(0)
    const lines = controller
      .out()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(lines.find(({ event }) => event === "revision")).toMatchObject({
      rollout: NAME,
      revision: 2,
      phase: { phase: "shadow" },
    })
    expect(lines.find(({ event }) => event === "leads")).toMatchObject({ rollout: NAME, epoch: 1 })
  })
})
