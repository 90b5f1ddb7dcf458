import { describe, expect, it } from "vitest"
import { leaderKey, reportKey, stateKey } from "../../src/controller/keys.js"
import { parseState } from "../../src/rollout/state.js"
import { trustedStore } from "../../src/stores/trusted.js"
import { keyPair, sealed, trusting, type KeyPair } from "../signing/keys.js"
import { NAME, useBench } from "./harness.js"

const bench = useBench()
const [ana, ben, mallory] = [keyPair(), keyPair(), keyPair()] as [KeyPair, KeyPair, KeyPair]
const KEY = stateKey(NAME)
const ROLLOUT = `
rollout: ${NAME}
stable: 1.4.0
canary: { release: 1.5.0, acceptance_criteria: { deny_rate_delta_max: 0.02 } }
`

async function files(): Promise<void> {
  await bench().write("safety/rollout.yaml", ROLLOUT)
  for (const [name, { privatePem, publicPem }] of Object.entries({ ana, ben, mallory })) {
    await bench().write(name, privatePem)
    await bench().write(`${name}.pub`, publicPem)
  }
  await bench().write("both.pub", ana.publicPem + ben.publicPem)
  await bench().write("both", ana.privatePem + ben.privatePem)
}
const by = (key: string, ...more: string[]) => ["--state-key", key, ...more]
const readBy = async (...keys: KeyPair[]) => {
  const found = await trustedStore(bench().store, { trustedKeys: trusting(...keys) }).get(KEY)
  return parseState(found?.envelope ?? "")
}
const errorOf = async (...argv: string[]) => (await bench().serin(...argv)).err.split("\n", 1)[0]

describe("serin with --state-key", () => {
  it("signs what its verbs write, reads it again, and does the same by $SERIN_STATE_KEY", async () => {
    await files()
    expect((await bench().serin("start", ...by("ana"))).code).toBe(0)
    expect(await readBy(ana)).toMatchObject({ revision: 2, canary: "1.5.0" })
    const env = { USER: "ana", SERIN_STATE_KEY: "ana" }
    expect((await bench().serinWith({ env }, "pause")).code).toBe(0)
    expect((await readBy(ana)).holds).toMatchObject([{ reason: "paused" }])
    expect((await bench().serin("status", "--trusted-keys", "ana.pub")).out).toContain("revision  3")
    expect((await bench().serin("history", "--trusted-keys", "ana.pub")).out).toContain("pause")
    // The way back can be pasted.
    expect((await bench().serin("resume", ...by("ana"))).out).toContain("undo: serin pause --state-key ana")
  })

  it("says what to do where a store is signed and no key is named, and writes nothing", async () => {
    await files()
    await bench().serin("start", ...by("ana"))
    const told = `STATE_UNTRUSTED: ${KEY} is signed: name the state key with --state-key FILE or $SERIN_STATE_KEY; to read alone, its public half with --trusted-keys FILE or $SERIN_TRUSTED_KEYS`
    for (const verb of ["status", "pause", "kill", "start", "history"]) expect(await errorOf(verb)).toBe(told)
    expect(await errorOf("kill", "--trusted-keys", "ana.pub")).toMatch(
      /^USAGE: .*public keys let you read alone; to write, name the state key/,
    )
    expect((await readBy(ana)).revision).toBe(2)
  })

  it("refuses a state that another key signed, and one that nobody did", async () => {
    await files()
    await bench().serin("start", ...by("mallory"))
    expect(await errorOf("status", ...by("ana"))).toMatch(
      /^STATE_UNTRUSTED: .*1 of the 1 trusted keys must have signed, 0 did/,
    )
    expect(await errorOf("promote", "--reason", "r", ...by("ana"))).toMatch(/^STATE_UNTRUSTED/)
  })

  it.each([
    ["a key file that is not there", by("nothing"), /--state-key nothing cannot be read/],
    ["a public key to sign with", by("ana.pub"), /--state-key ana.pub cannot be used/],
    ["trusted keys that are not there", ["--trusted-keys", "nothing"], /--trusted-keys nothing cannot be read/],
    ["a private key to trust", ["--trusted-keys", "ana"], /--trusted-keys ana must be a public key/],
    ["a threshold of no keys", ["--trusted-threshold", "2"], /--trusted-threshold needs --trusted-keys/],
    [
      "a threshold that cannot be met",
      ["--trusted-keys", "ana.pub", "--trusted-threshold", "2"],
      /--trusted-threshold must be a whole number from 1 to 1/,
    ],
    ["a key that is not trusted", by("ben", "--trusted-keys", "ana.pub"), /nobody would read what it signs/],
  ])("refuses %s", async (_, flags, message) => {
    await files()
    expect(await errorOf("status", ...flags)).toMatch(message)
    expect((await bench().serin("status", ...flags)).code).toBe(2)
  })
})

describe("a human's stop", () => {
  it.each([
    ["that nobody signed", () => "{}"],
    ["that another key signed", () => sealed(KEY, "{}", [mallory])],
  ])("is written over a state %s, and after it", async (_, forged) => {
    await files()
    await bench().serin("start", ...by("ana"))
    await bench().writeRaw(forged())
    const { code, err } = await bench().serin("kill", "--position", "stable", ...by("ana"))
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining("cannot be read, or not be trusted") })
    expect(await readBy(ana)).toMatchObject({ revision: 4, kill: "stable", canary: "1.5.0" })
  })

  it("is written over an old state, well signed, that was put in the place of the newest, and brings nothing of it back", async () => {
    await files()
    await bench().serin("start", ...by("ana"))
    await bench().serin("pause", ...by("ana"))
    const [, started] = await bench()
      .store.get(KEY)
      .then(async () => {
        const all: string[] = []
        for await (const { envelope } of bench().store.history(KEY)) all.push(envelope)
        return all
      })
    await bench().writeRaw(started ?? "")
    expect(await errorOf("resume", ...by("ana"))).toMatch(
      /^STATE_INVALID: revision 4 of the store has revision 2 of the state/,
    )
    expect((await bench().serin("kill", ...by("ana"))).code).toBe(0)
    expect(await readBy(ana)).toMatchObject({ revision: 5, kill: "stable", holds: [{ reason: "paused" }] })
  })
})

describe("serin sign", () => {
  it("turns signing on: signs an unsigned state after a human looked at it, and takes away what cannot be trusted", async () => {
    await files()
    await bench().serin("start")
    await bench().store.compareAndSet(leaderKey(NAME), 0, "{}")
    await bench().store.compareAndSet(reportKey(NAME), 0, sealed(reportKey(NAME), "{}", [ana]))
    expect(await errorOf("status", ...by("ana"))).toMatch(/^STATE_UNTRUSTED: .*it is not signed/)
    expect(await errorOf("sign", "--reason", "r")).toMatch(/^USAGE: .*name the state key/)
    expect(await errorOf("sign", ...by("ana"))).toMatch(/needs --reason/)
    const before = await bench().state()
    const { code, out } = await bench().serin("sign", "--reason", "from today on", ...by("ana"))
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining(`removed ${leaderKey(NAME)}`) })
    const { last, revision, ...after } = await readBy(ana)
    expect({ ...after, last: before.last, revision: before.revision }).toEqual(before)
    expect([revision, last.event, last.reason]).toEqual([3, "sign", "from today on"])
    expect(await bench().store.get(leaderKey(NAME))).toBeNull()
    expect(await bench().store.get(reportKey(NAME))).not.toBeNull()
  })

  it("hands a state from one key to the next, step by step, and each can be read at its time", async () => {
    await files()
    await bench().serin("start", ...by("ana"))
    expect((await bench().serin("sign", "--reason", "new key", ...by("both", "--trusted-keys", "both.pub"))).code).toBe(
      0,
    )
    expect([(await readBy(ana)).revision, (await readBy(ben)).revision]).toEqual([3, 3])
    await bench().serin("pause", ...by("ben"))
    await expect(readBy(ana)).rejects.toMatchObject({ code: "STATE_UNTRUSTED" })
    expect((await readBy(ben)).holds).toMatchObject([{ reason: "paused" }])
  })

  it("signs nothing that is no state of this rollout", async () => {
    await files()
    expect((await bench().serin("sign", "--reason", "r", ...by("ana"))).code).toBe(6)
    await bench().serin("start")
    await bench().writeRaw("{}")
    expect(await errorOf("sign", "--reason", "r", ...by("ana"))).toMatch(/^STATE_INVALID/)
  })
})

describe("serin keygen", () => {
  it("makes a key pair that signs state, encrypted where a passphrase is given", async () => {
    await files()
    const env = { USER: "ana", SERIN_KEY_PASSPHRASE: "secret" }
    expect((await bench().serinWith({ env }, "keygen", "state-key")).out).toMatch(
      /private, encrypted: for the controller/,
    )
    expect(await bench().read("state-key")).toContain("ENCRYPTED")
    expect((await bench().serinWith({ env }, "start", ...by("state-key"))).code).toBe(0)
    expect((await bench().serin("status", "--trusted-keys", "state-key.pub")).code).toBe(12)
    expect(await errorOf("status", ...by("state-key"))).toMatch(/SERIN_KEY_PASSPHRASE does not open it/)
    expect(await errorOf("keygen", "state-key")).toMatch(/is there already/)
  })
})
