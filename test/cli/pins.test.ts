import { describe, expect, it } from "vitest"
import { digestOf, keyPair, signed, type Content } from "../release/signing.js"
import { useBench } from "./harness.js"

const bench = useBench()
const ROLLOUT = `
rollout: refund-agent
stable: 1.4.0
canary: { release: 1.5.0, acceptance_criteria: { deny_rate_delta_max: 0.02 } }
`
const filesOf = (version: string): Content => ({
  "release.yaml": `version: "${version}"\npolicy: { engine: rules }\n`,
  "rules.yaml": 'rules: [{ id: read, action: "get_*", effect: allow }]\n',
})

async function write(...releases: readonly (readonly [version: string, files: Content])[]): Promise<void> {
  await bench().write("safety/rollout.yaml", ROLLOUT)
  for (const [version, files] of releases) {
    for (const [path, text] of Object.entries(files)) {
      await bench().write(`safety/releases/${version}/${path}`, String(text))
    }
  }
}

const [stable, canary] = [filesOf("1.4.0"), filesOf("1.5.0")]
const pins = { stable: digestOf(stable), canary: digestOf(canary) }

describe("serin start and retry", () => {
  it("write into the state which releases are meant, byte for byte", async () => {
    await write(["1.4.0", stable], ["1.5.0", canary])
    expect((await bench().serin("start")).code).toBe(0)
    expect((await bench().state()).digests).toEqual(pins)
    await bench().serin("rollback")
    const mended = { ...canary, "rules.yaml": `${canary["rules.yaml"]}# mended\n` }
    await write(["1.5.0", mended])
    expect((await bench().serin("retry", "--reason", "mended")).code).toBe(0)
    expect((await bench().state()).digests).toEqual({ ...pins, canary: digestOf(mended) })
  })

  it("begin without digests where the releases are made in code, and with --unpinned", async () => {
    await write()
    expect((await bench().serin("start")).code).toBe(0)
    expect((await bench().state()).digests).toEqual({})
    await bench().serin("kill", "--position", "stable", "--reason", "r")
    await write(["1.4.0", stable], ["1.5.0", canary])
    expect((await bench().serin("retry", "--reason", "r", "--unpinned")).code).toBe(0)
    expect((await bench().state()).digests).toEqual({})
  })

  it("pin what is there, and refuse what was asked for and is not", async () => {
    await write(["1.5.0", canary])
    const refused = await bench().serin("start", "--releases", "safety/releases")
    expect(refused).toMatchObject({
      code: 1,
      err: expect.stringContaining("RELEASE_NOT_FOUND: there is no release 1.4.0"),
    })
    expect((await bench().serin("start")).code).toBe(0)
    expect((await bench().state()).digests).toEqual({ canary: pins.canary })
  })

  it("with --keys begin nothing that the release key did not introduce", async () => {
    const [ana, mallory] = [keyPair(), keyPair()]
    await bench().write("ana.pub", ana.publicPem)
    await write(["1.4.0", signed("1.4.0", stable, [ana])], ["1.5.0", signed("1.5.0", canary, [mallory])])
    const refused = await bench().serin("start", "--keys", "ana.pub")
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("RELEASE_UNTRUSTED") })
    expect((await bench().state()).canary).toBeNull()
    await write(["1.5.0", signed("1.5.0", canary, [ana])])
    expect((await bench().serin("start", "--keys", "ana.pub")).code).toBe(0)
    expect((await bench().state()).digests).toEqual(pins)
    expect(await bench().serin("start", "--unpinned", "--keys", "ana.pub")).toMatchObject({ code: 1 })
  })

  it("refuse a release that cannot be read, and one in the place of another", async () => {
    await write(["1.4.0", stable], ["1.5.0", filesOf("1.6.0")])
    const { code, err } = await bench().serin("start")
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(/^RELEASE_INVALID.*[^]*1\.5\.0 was asked for/),
    })
  })
})
