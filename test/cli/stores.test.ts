import { afterEach, describe, expect, it } from "vitest"
import { storeAt } from "../../src/cli/store-at.js"
import { storeHandler } from "../../src/serve/handler.js"
import { bearer } from "../../src/serve/bearer.js"
import { onLoopback } from "../serve/loopback.js"
import { NAME, useBench } from "./harness.js"

const bench = useBench()
const TOKEN = "0123456789abcdef"
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function begun() {
  await bench().serin("init", "safety")
  await bench().serin("start")
}

/** Serve what the bench has, as another machine would. */
async function served(): Promise<string> {
  const server = await onLoopback(storeHandler({ store: bench().store, authorize: bearer([TOKEN]) }))
  ends.push(() => server.close())
  return `${server.url}/v1`
}

describe("a store by its address", () => {
  it("may be a folder, in three ways of writing", async () => {
    await begun()
    for (const state of ["safety/state", "file:safety/state", `file://${bench().cwd}/safety/state`]) {
      expect(await bench().json("status", "--state", state)).toMatchObject({
        doc: { rollout: NAME, state: { revision: 2 } },
      })
    }
  })

  it("is that of the environment where no flag says another", async () => {
    await begun()
    const env = { SERIN_STATE: "elsewhere" }
    expect(await bench().serinWith({ env }, "status")).toMatchObject({
      code: 6,
      out: expect.stringContaining("elsewhere"),
    })
    expect(await bench().serinWith({ env }, "status", "--state", "safety/state")).toMatchObject({ code: 12 })
    expect(await bench().serinWith({ env: { SERIN_STATE: "" } }, "status")).toMatchObject({ code: 12 })
  })

  it.each([
    ["redsi://host", "redsi: is unknown; did you mean redis:?"],
    ["s3://bucket/x", "s3: is unknown; there are file, redis,"],
    ["http://u:secret@host/v1", "http://u:***@host/v1: url must be without name and password"],
    ["https://host/v1?sig=secret", "https://host/v1?***: url must be without query and hash"],
    ["etcd://", "it must be etcd:// or etcds://, and host:port"],
    ["file://server/share", "is no file on this machine"],
  ])("that is none is a mistake on the command line: %s", async (state, message) => {
    const { code, err } = await bench().serin("status", "--state", state)
    expect(code).toBe(2)
    expect(err).toContain(message)
    expect(err).not.toContain("secret")
  })

  it.each([
    ["redis://ana:secret@host:6379/2", "redis://ana:***@host:6379/2"],
    ["rediss://:secret@host", "rediss://:***@host"],
    ["etcd://host:2379", "etcd://host:2379"],
    ["etcds://ana:secret@a:2379,b:2379", "etcds://ana:***@a:2379,b:2379"],
    ["etcd://root:s%40cret@a", "etcd://root:***@a"],
  ])("tells no password in messages: %s", async (location, as) => {
    const { shown, dir, readOnly, close } = await storeAt(location, { cwd: "/", env: {} })
    close()
    expect({ shown, dir, readOnly }).toEqual({ shown: as, dir: null, readOnly: false })
  })
})

describe("a store over HTTP", () => {
  it("shows all that a folder shows", async () => {
    await begun()
    const url = await served()
    const over = { env: { SERIN_STATE: url, SERIN_TOKEN: TOKEN } }
    for (const verb of ["status", "explain"]) {
      const [here, there] = [await bench().serin(verb), await bench().serinWith(over, verb)]
      expect(there).toEqual(here)
    }
    const history = await bench().serinWith(over, "history", "--json")
    expect(JSON.parse(history.out)).toMatchObject({ revisions: [{ revision: 2, event: "start" }] })
    expect(history.err).toContain("the newest revision alone")
    const verified = await bench().serinWith(over, "history", "--verify")
    expect(verified).toMatchObject({ code: 0, out: expect.stringContaining("revision 2 alone: over HTTP") })
    const head = /\d+:sha256:\w+/.exec(verified.out)?.[0] ?? ""
    const noted = await bench().serinWith(over, "history", "--verify", "--json", "--head", head)
    expect(JSON.parse(noted.out)).toMatchObject({ result: "whole", newestBy: "noted head", records: null })
    await bench().serin("pause")
    const changed = await bench().serinWith(over, "history", "--verify", "--head", head.replace(/^2/, "3"))
    expect(changed).toMatchObject({ code: 10, out: expect.stringContaining("head_changed") })
  })

  it("watches, and is told at once of what happens", async () => {
    await begun()
    const end = new AbortController()
    let out = ""
    let changed = (): void => {}
    const stdout = {
      write(text: string) {
        out += text
        changed()
      },
    }
    const env = { SERIN_STATE: await served(), SERIN_TOKEN: TOKEN }
    const lines = async (n: number): Promise<void> => {
      while (out.split("\n").length <= n) await new Promise<void>((resolve) => (changed = resolve))
    }
    const watching = bench().serinWith({ env, stdout, signal: end.signal }, "watch")
    await lines(1)
    await bench().serin("kill")
    await lines(2)
    end.abort()
    expect((await watching).code).toBe(0)
    expect(out.split("\n")[1]).toContain("killed")
  })

  it.each([["kill"], ["pause"], ["start"], ["rollback"], ["retry", "--reason", "x"], ["controller"]])(
    "refuses what would write, and says where to write: %s",
    async (...argv) => {
      await begun()
      const env = { SERIN_STATE: await served(), SERIN_TOKEN: TOKEN }
      const { code, err } = await bench().serinWith({ env }, ...argv)
      expect(code).toBe(2)
      expect(err).toMatch(/serin \w+: http:.* can only be read; name the store behind it with --state/)
      expect((await bench().state()).revision).toBe(2)
    },
  )

  it("says so when it does not let one in", async () => {
    await begun()
    const { code, err } = await bench().serin("status", "--state", await served())
    expect(code).toBe(13)
    expect(err).toMatch(/^STORE_UNAUTHORIZED: .*pass the token/)
  })
})

describe("a rollout whose file is elsewhere", () => {
  it("goes by its name", async () => {
    await begun()
    const argv = ["--rollout", NAME, "--state", "safety/state"]
    expect((await bench().serin("status", ...argv)).code).toBe(12)
    expect(await bench().serin("kill", ...argv)).toMatchObject({ code: 0, err: "" })
    expect((await bench().state()).kill).toBe("stable")
  })

  it("is not called by what is a file's name", async () => {
    const { code, err } = await bench().serin("status", "--rollout", "rollout.yaml", "--state", "safety/state")
    expect(code).toBe(1)
    expect(err).toContain("SPEC_INVALID: the rollout file rollout.yaml cannot be read")
  })
})
