import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { evidenceKey } from "../../src/controller/keys.js"
import { httpSink, httpStore } from "../../src/stores/http.js"
import { paired } from "../controller/evidence.js"
import { publicationOf } from "../evidence/publications.js"
import { onLoopback } from "../serve/loopback.js"
import { fakePrometheus, scraped } from "../sources/fake-prometheus.js"
import { controllingOn } from "./controlling.js"
import { NAME, useBench } from "./harness.js"

const bench = useBench()
const ends: (() => unknown)[] = []

beforeEach(async () => {
  await bench().serin("init")
  await bench().serin("start")
})
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

/** The canary denies every second call. */
const broken = () => paired(1, 2, 200, (n) => n % 2 === 0)

describe("serin controller --serve", () => {
  it("leads and serves in one process: state is read and evidence taken in over HTTP, and it judges by that", async () => {
    const controller = controllingOn(bench, ["--serve", "--port", "0"])
    await controller.until("dashboard at ")
    const url = /at (http:\S+\/v1),/.exec(controller.out())?.[1] ?? ""
    await controller.until(" leads\n")
    const store = httpStore({ url })
    ends.push(() => store.close())
    const sink = httpSink({ url })
    ends.push(() => sink.close())
    expect(await store.get(`${NAME}/state`)).toMatchObject({ revision: (await bench().state()).revision })
    const { salt } = await bench().state()
    const said = publicationOf({ rollout: NAME, publisher: "one.a", salt, strata: broken().strata })
    await sink.put(`${evidenceKey(NAME)}/one.a`, said)
    await controller.until("rolled back")
    expect(await controller.end()).toBe(0)
    await expect(store.get(`${NAME}/state`)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" })
  })

  it("says where with --json, as a line of its own", async () => {
    const controller = controllingOn(bench, ["--serve", "--port", "0", "--json"])
    await controller.until('"event":"leads"')
    expect(await controller.end()).toBe(0)
    const [first] = controller.out().split("\n")
    expect(JSON.parse(first ?? "")).toMatchObject({ event: "serves", rollout: NAME, token: false })
  })

  it.each([
    [["--port", "0"], "serin controller: --port is of --serve; add it"],
    [
      ["--serve", "--host", "0.0.0.0"],
      "serin controller: 0.0.0.0 can be reached from elsewhere, and that needs --token-file",
    ],
    [
      ["--serve", "--token-file", "nowhere"],
      "serin controller: --token-file nowhere cannot be read: there is no such file",
    ],
  ])("refuses %j before it leads", async (flags, message) => {
    const { code, err } = await bench().serin("controller", ...flags)
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) })
    expect(await bench().store.list(NAME)).toEqual([`${NAME}/state`])
  })
})

describe("serin controller --prometheus", () => {
  it("judges by what the server scraped, and sends it the token", async () => {
    const seconds = (): number => bench().clock.now() / 1000
    const server = fakePrometheus(seconds)
    const tokens = new Set<string | null>()
    const { url, close } = await onLoopback(async (request) => {
      tokens.add(request.headers.get("authorization"))
      return server.fetch(request.url, { body: await request.text() })
    })
    ends.push(close)
    const { criteria } = (await bench().state()).spec
    const life = scraped({ evidence: broken(), criteria }, seconds(), NAME)
    server.lives.push({ ...life, at: seconds() + 60 })
    const controller = controllingOn(bench, ["--prometheus", url], { SERIN_PROMETHEUS_TOKEN: "secret" })
    bench().clock.advance(60_000)
    await controller.until("rolled back")
    expect(await controller.end()).toBe(0)
    expect((await bench().state()).last).toMatchObject({ event: "rollback", verdict: { sessions: { paired: 200 } } })
    expect(tokens).toEqual(new Set(["Bearer secret"]))
    expect(controller.out()).not.toContain("secret")
  })

  it("holds with no_data while nobody answers there, and refuses what is no address", async () => {
    const controller = controllingOn(bench, ["--prometheus", "http://127.0.0.1:1"])
    await controller.until("held by no_data")
    expect(await controller.end()).toBe(0)
    const { code, err } = await bench().serin("controller", "--prometheus", "prometheus:9090")
    expect({ code, err }).toEqual({
      code: 2,
      err: expect.stringContaining("serin controller: --prometheus: url must be an http or https address"),
    })
  })
})
