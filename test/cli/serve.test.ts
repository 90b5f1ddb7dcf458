import { request } from "node:http"
import { afterEach, describe, expect, it } from "vitest"
import { httpStore } from "../../src/stores/http.js"
import { PAGE_HEADERS } from "../dashboard/served.js"
import { linesOf, logged } from "../disagreements/log.js"
import { publicationOf } from "../evidence/publications.js"
import { NAME, useBench, type Ran } from "./harness.js"

const bench = useBench()
const TOKEN = "0123456789abcdef"
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

/** `serin serve` while it runs; `end` is Ctrl-C. */
async function serving(...argv: string[]) {
  const signal = new AbortController()
  let said = ""
  let heard = (): void => {}
  const first = new Promise<void>((resolve) => (heard = resolve))
  const stdout = {
    write(text: string) {
      said += text
      heard()
    },
  }
  const running = bench().serinWith({ stdout, signal: signal.signal }, "serve", "--port", "0", ...argv)
  const end = async (): Promise<Ran> => {
    signal.abort()
    return running
  }
  ends.push(end)
  await Promise.race([first, running])
  const url = /(?: at |"url":")(http:[^",]+)/.exec(said)?.[1] ?? ""
  return { url, said: () => said, end, running }
}

/** The status of a GET, with whatever headers. */
const statusOf = (url: string, headers: Record<string, string> = {}): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    request(url, { headers, agent: false }, (response) => resolve(response.resume().statusCode))
      .on("error", reject)
      .end()
  })

describe("serin serve", () => {
  it("says where, serves every rollout of the store, and ends with 0 and all its streams", async () => {
    await bench().serin("init", "safety")
    await bench().serin("start")
    const { url, said, end } = await serving()
    const dashboard = url.replace("v1", "")
    expect(said()).toBe(
      `serving safety/state at ${url}, to this machine alone, without a token\ndashboard at ${dashboard}: it can only read; --operator-file says who may act\n`,
    )
    const store = httpStore({ url })
    const stop = new AbortController()
    await new Promise<unknown>((resolve) => store.watch(`${NAME}/state`, resolve, { signal: stop.signal }))
    expect(await store.get(`${NAME}/state`)).toMatchObject({ revision: 2 })
    expect(await store.get("other/state")).toBe(null)
    const since = performance.now()
    expect(await end()).toMatchObject({ code: 0, err: "" })
    // Well below the two seconds after which it would cut what is left.
    expect(performance.now() - since).toBeLessThan(1500)
    stop.abort()
    store.close()
  })

  it("takes in evidence, which is in the store afterwards", async () => {
    await bench().serin("init", "safety")
    await bench().serin("start")
    const { url } = await serving()
    const body = publicationOf({ rollout: NAME, publisher: "p" })
    const headers = { "content-type": "application/json" }
    const answer = await fetch(`${url}/${NAME}/evidence/p`, { method: "PUT", body, headers })
    expect(answer.status).toBe(204)
    expect((await bench().store.get(`${NAME}/evidence/p`))?.envelope).toBe(body)
  })

  it("lets in who has a token of the file, where there is one", async () => {
    await bench().write("tokens", `# rotated in May\n${TOKEN}\n\nfedcba9876543210\n`)
    const { url, said } = await serving("--token-file", "tokens", "--json")
    const { port, origin } = new URL(url)
    const served = { url, dashboard: `${origin}/`, port: Number(port), state: "safety/state", token: true }
    expect(JSON.parse(said())).toEqual({ format: "serin/serve/1", ...served })
    expect(await statusOf(`${url}/a/state`)).toBe(401)
    expect(await statusOf(`${url}/a/state`, { authorization: "Bearer fedcba987654321x" })).toBe(403)
    for (const token of [TOKEN, "fedcba9876543210"]) {
      expect(await statusOf(`${url}/a/state`, { authorization: `Bearer ${token}` })).toBe(404)
    }
  })

  it("without a token lets nobody in who calls it by another name, as a page of a browser would", async () => {
    const { url } = await serving()
    const { port } = new URL(url)
    expect(await statusOf(`${url}/a/state`, { host: `attacker.example:${port}` })).toBe(401)
    for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`]) {
      expect(await statusOf(`${url}/a/state`, { host })).toBe(404)
    }
  })

  it("serves the dashboard at its root: to this machine to read, to whoever is in the operator file to act", async () => {
    await bench().write("operators", `ana ${TOKEN}\n`)
    await bench().serin("init", "safety")
    await bench().serin("start")
    const { url, said } = await serving("--operator-file", "operators")
    expect(said()).toContain(": ana may act\n")
    const root = url.replace(/v1$/, "")
    expect(await (await fetch(root)).text()).toContain("<title>serin</title>")
    expect(await (await fetch(`${root}api/rollouts`)).json()).toEqual({ rollouts: [NAME], actor: null, acts: true })
    expect(await statusOf(`${root}api/rollouts`, { host: "attacker.example" })).toBe(401)
    const body = JSON.stringify({ verb: "kill", reason: "it deletes accounts", revision: 2, generation: 1 })
    const kill = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${root}api/${NAME}/act`, {
        method: "POST",
        body,
        headers: {
          "content-type": "application/json",
          "serin-dashboard": "1",
          origin: new URL(root).origin,
          ...headers,
        },
      })
    expect((await kill({})).status).toBe(401)
    expect((await kill({ authorization: "Bearer 0123456789abcdex" })).status).toBe(403)
    expect((await kill({ authorization: `Bearer ${TOKEN}` })).status).toBe(200)
    expect((await bench().state()).last).toMatchObject({ event: "kill", actor: { id: "ana" } })
  })

  it("shows calls of a decision log to whoever may act, and replays them with the releases beside the rollout file", async () => {
    await bench().write("operators", `ana ${TOKEN}\n`)
    await bench().serin("init", "safety")
    await bench().serin("start")
    await bench().write("log.jsonl", linesOf(logged({ id: "p-1", stable: { outcome: "allow", rule: "refund" } })))
    const { url } = await serving("--operator-file", "operators", "--log", "log.jsonl")
    const replay = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${url.replace("v1", "")}api/${NAME}/disagreements/replay`, {
        method: "POST",
        headers: { ...PAGE_HEADERS, ...headers },
        body: JSON.stringify({ id: "p-1" }),
      })
    expect((await replay({})).status).toBe(401)
    expect(await (await replay({ authorization: `Bearer ${TOKEN}` })).json()).toMatchObject({
      repeats: true,
      replayed: { canary: { rule: "large-refund", reason: "Refunds are given up to 500" } },
    })
    expect((await bench().serin("serve", "--log", "log.jsonl")).err).toContain("--operator-file says who that is")
  })

  it("replays calls with releases of the engines whose package is optional, too", async () => {
    await bench().write("operators", `ana ${TOKEN}\n`)
    await bench().serin("init", "safety")
    await bench().serin("start")
    for (const version of ["1.4.0", "1.5.0"]) {
      const dir = `safety/releases/${version}`
      await bench().write(`${dir}/release.yaml`, `version: "${version}"\npolicy: { engine: cedar, files: [p.cedar] }\n`)
      await bench().write(`${dir}/p.cedar`, `@id("of-${version}")\npermit(principal, action, resource);\n`)
    }
    await bench().write("log.jsonl", linesOf(logged({ id: "p-1" })))
    const { url } = await serving("--operator-file", "operators", "--log", "log.jsonl")
    const replayed = await fetch(`${url.replace("v1", "")}api/${NAME}/disagreements/replay`, {
      method: "POST",
      headers: { ...PAGE_HEADERS, authorization: `Bearer ${TOKEN}` },
      body: JSON.stringify({ id: "p-1" }),
    })
    expect(await replayed.json()).toMatchObject({
      replayed: { stable: { outcome: "allow", rule: "of-1.4.0" }, canary: { outcome: "allow", rule: "of-1.5.0" } },
    })
  })

  it("without an operator file has a dashboard that nobody acts on, also who may publish", async () => {
    await bench().write("tokens", `${TOKEN}\n`)
    await bench().serin("init", "safety")
    await bench().serin("start")
    const { url } = await serving("--token-file", "tokens")
    const root = url.replace(/v1$/, "")
    const headers = { authorization: `Bearer ${TOKEN}` }
    expect(await statusOf(`${root}api/rollouts`)).toBe(401)
    const { actor, acts } = (await (await fetch(`${root}api/rollouts`, { headers })).json()) as {
      actor: null
      acts: boolean
    }
    expect({ actor, acts }).toEqual({ actor: null, acts: false })
    const { transitions } = (await (await fetch(`${root}api/${NAME}/history`, { headers })).json()) as {
      transitions: []
    }
    expect(transitions).toHaveLength(2)
    const answer = await fetch(`${root}api/${NAME}/act`, { method: "POST", headers, body: "{}" })
    expect(answer.status).toBe(403)
  })

  it.each([
    [["--operator-file", "empty"], "empty has no name and no token"],
    [["--operator-file", "short"], "a line has a name and a token, got 1 words"],
    [["--operator-file", "twice"], "a name is there twice"],
    [["--operator-file", "shared"], "bo has the token of somebody else"],
    [["--host", "0.0.0.0"], "0.0.0.0 can be reached from elsewhere, and that needs --token-file"],
    [["--port", "70000"], "--port must be a whole number from 0 to 65535"],
    [["--token-file", "nowhere"], "--token-file nowhere cannot be read: there is no such file"],
    [["--token-file", "short"], "short: a token must have 16 characters at least, got 3"],
    [["--token-file", "empty"], "empty: bearer needs one token at least"],
    [["--state", "htp://x"], "did you mean http:?"],
  ])("refuses %j", async (argv, message) => {
    await bench().write("short", "abc\n")
    await bench().write("empty", "# nothing yet\n")
    await bench().write("twice", `ana ${TOKEN}\nana ${TOKEN}x\n`)
    await bench().write("shared", `ana ${TOKEN}\nbo ${TOKEN}\n`)
    const { code, err } = await bench().serin("serve", ...argv)
    expect(code).toBe(2)
    expect(err).toContain(message)
  })

  it("says when another process has the port", async () => {
    const { url } = await serving()
    const { code, err } = await bench().serin("serve", "--port", new URL(url).port)
    expect(code).toBe(2)
    expect(err).toContain("another process does; choose another with --port")
  })

  it("serves what another one serves, to read", async () => {
    await bench().serin("init", "safety")
    await bench().serin("start")
    const first = await serving()
    const second = await serving("--state", first.url)
    const store = httpStore({ url: second.url })
    expect(await store.get(`${NAME}/state`)).toMatchObject({ revision: 2 })
    store.close()
    const answer = await fetch(`${second.url}/${NAME}/evidence/p`, { method: "PUT", body: "{}" })
    expect(answer.status).toBe(405)
  })
})
