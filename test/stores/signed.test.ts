import { generateKeyPairSync } from "node:crypto"
import { describe, expect, it } from "vitest"
import { isSerinError, memoryStore, type StateStore } from "../../src/index.js"
import { signedStore, trustedStore } from "../../src/stores/signed.js"
import { keyPair, sealed, trusting, typeOf, type KeyPair } from "../signing/keys.js"

const [ana, ben, mallory] = [keyPair(), keyPair(), keyPair()] as [KeyPair, KeyPair, KeyPair]
const KEY = "demo/state"
const STATE = '{"format":"serin/state/1","rollout":"demo"}'

/** What the store gives for a text that somebody put there: what was signed, or why it is not trusted. */
async function readBy(trustedKeys: { keys: string[]; threshold?: number }, text: string, key = KEY): Promise<string> {
  const store = memoryStore()
  await store.compareAndSet(key, 0, text)
  try {
    return (await trustedStore(store, { trustedKeys }).get(key))?.envelope ?? "nothing"
  } catch (error) {
    if (!isSerinError(error) || error.code !== "STATE_UNTRUSTED") throw error
    return `${error.code}: ${error.message}`
  }
}

const refused = (why: string | RegExp) =>
  expect.stringMatching(new RegExp(`^STATE_UNTRUSTED: .*${why instanceof RegExp ? why.source : why}`))

describe("trustedStore gives what a trusted key signed, and refuses", () => {
  it("nothing else: the text that was signed comes back, and what is not there is null", async () => {
    expect(await readBy(trusting(ana), sealed(KEY, STATE, [ana]))).toBe(STATE)
    expect(await trustedStore(memoryStore(), { trustedKeys: trusting(ana) }).get(KEY)).toBeNull()
  })

  it("what nobody signed", async () => {
    expect(await readBy(trusting(ana), STATE)).toBe("STATE_UNTRUSTED: demo/state is not trusted: it is not signed")
  })

  it("what another key signed", async () => {
    expect(await readBy(trusting(ana), sealed(KEY, STATE, [mallory]))).toEqual(
      refused("1 of the 1 trusted keys must have signed, 0 did"),
    )
  })

  it("what was changed after it was signed", async () => {
    const text = sealed(KEY, STATE, [ana])
    const forged = JSON.parse(text) as { payload: string }
    forged.payload = Buffer.from(STATE.replace("demo", "evil")).toString("base64")
    expect(await readBy(trusting(ana), JSON.stringify(forged))).toEqual(refused("0 did"))
  })

  it("what was signed as another document: of another rollout, a leader's beat, a release", async () => {
    for (const type of [typeOf("other/state"), typeOf("demo/leader"), "application/vnd.serin.release+json"]) {
      const why = refused(`what was signed must be ${typeOf(KEY)}, got "${type}`.replaceAll("+", "\\+"))
      expect(await readBy(trusting(ana), sealed(KEY, STATE, [ana], type))).toEqual(why)
      // Stored under the type that is asked for, the signature is over another.
      const disguised = sealed(KEY, STATE, [ana], type).replace(type, typeOf(KEY))
      expect(await readBy(trusting(ana), disguised)).toEqual(refused("0 did"))
    }
  })

  it("a document without end, before it is parsed, and one that is no text", async () => {
    expect(await readBy(trusting(ana), " ".repeat(400_000))).toEqual(refused("it is over 353622 bytes long"))
    expect(await readBy(trusting(ana), "[".repeat(100_000))).toEqual(refused("it is no JSON"))
    const bytes = Buffer.from([0x7b, 0xff, 0x7d])
    expect(await readBy(trusting(ana), sealed(KEY, bytes, [ana]))).toEqual(refused("what was signed is no UTF-8"))
  })

  it("one stolen key where two are asked for, its signature copied or not", async () => {
    const two = { ...trusting(ana, ben), threshold: 2 }
    expect(await readBy(two, sealed(KEY, STATE, [ana, ben]))).toBe(STATE)
    expect(await readBy(two, sealed(KEY, STATE, [ana]))).toEqual(
      refused("2 of the 2 trusted keys must have signed, 1 did"),
    )
    expect(await readBy(two, sealed(KEY, STATE, [ana, ana, mallory]))).toEqual(refused("1 did"))
  })

  it("but takes the evidence of processes as it is: they hold no key", async () => {
    expect(await readBy(trusting(ana), "anything", "demo/evidence/pod-1")).toBe("anything")
  })
})

describe("signedStore", () => {
  const signed = (store: StateStore, keys: readonly KeyPair[], trusted = keys) =>
    signedStore(store, { trustedKeys: trusting(...trusted), signWith: keys.map(({ privatePem }) => privatePem) })

  it("writes what anybody can verify by the specification of DSSE alone", async () => {
    const store = memoryStore()
    await signed(store, [ana]).compareAndSet(KEY, 0, STATE)
    const written = JSON.parse((await store.get(KEY))?.envelope ?? "") as { signatures: { sig: string }[] }
    const expected = JSON.parse(sealed(KEY, STATE, [ana])) as typeof written
    expect(written).toMatchObject({ ...expected, signatures: [{ sig: expected.signatures[0]?.sig }] })
  })

  it("signs all that moves a rollout, and leaves evidence as it is", async () => {
    const store = memoryStore()
    const keys = ["demo/state", "demo/leader", "demo/report", "demo/verdict"]
    for (const key of [...keys, "demo/evidence/pod-1"]) await signed(store, [ana]).compareAndSet(key, 0, STATE)
    for (const key of keys) {
      expect(JSON.parse((await store.get(key))?.envelope ?? "")).toMatchObject({ payloadType: typeOf(key) })
    }
    expect((await store.get("demo/evidence/pod-1"))?.envelope).toBe(STATE)
  })

  it("writes over what it does not trust only when it is told the revision, and shows none of it", async () => {
    const store = memoryStore()
    await store.compareAndSet(KEY, 0, sealed(KEY, STATE, [mallory]))
    const own = signed(store, [ana])
    await expect(own.get(KEY)).rejects.toMatchObject({ code: "STATE_UNTRUSTED" })
    await expect(own.compareAndSet(KEY, 0, STATE)).rejects.toMatchObject({ code: "STATE_UNTRUSTED" })
    expect(await own.compareAndSet(KEY, 1, STATE)).toEqual({ ok: true })
    expect((await own.get(KEY))?.envelope).toBe(STATE)
  })

  it("leaves out of the history what cannot be trusted", async () => {
    const store = memoryStore()
    await signed(store, [ana]).compareAndSet(KEY, 0, "one")
    await store.compareAndSet(KEY, 1, "forged")
    await signed(store, [ana]).compareAndSet(KEY, 2, "three")
    const seen: [number, string][] = []
    for await (const { revision, envelope } of signed(store, [ana]).history(KEY)) seen.push([revision, envelope])
    expect(seen).toEqual([
      [3, "three"],
      [1, "one"],
    ])
  })

  it("says how large a text may be, so that its envelope still fits", async () => {
    const store = memoryStore()
    const own = signed(store, [ana, ben])
    const text = "x".repeat(own.caps.maxBytes)
    expect(await own.compareAndSet("demo/verdict", 0, text)).toEqual({ ok: true })
    expect((await own.get("demo/verdict"))?.envelope.length).toBe(text.length)
  })

  const rsa = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  })
  const encrypted = ana.privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "p" })
  const trustedKeys = trusting(ana)
  it.each<[string, object, RegExp]>([
    ["no keys to trust", { signWith: ana.privatePem }, /trustedKeys must be \{ keys, threshold\? \}, got undefined/],
    ["an empty list of them", { trustedKeys: { keys: [] }, signWith: ana.privatePem }, /got none/],
    ["no key to sign with", { trustedKeys }, /signWith must be a text in PEM, got undefined/],
    ["an empty list to sign with", { trustedKeys, signWith: [] }, /got none/],
    ["a public key to sign with", { trustedKeys, signWith: ana.publicPem }, /must be a private key, got a PUBLIC KEY/],
    ["an encrypted key", { trustedKeys, signWith: encrypted }, /got an ENCRYPTED PRIVATE KEY; decrypt it first/],
    ["a path", { trustedKeys, signWith: "state-key" }, /pass the text of the key's file/],
    ["a key of another kind", { trustedKeys, signWith: rsa.privateKey }, /must be an Ed25519 key, got rsa/],
    ["one key twice", { trustedKeys, signWith: [ana.privatePem, ana.privatePem] }, /got one twice/],
    ["a key that nobody trusts", { trustedKeys, signWith: ben.privatePem }, /nobody would read what it signs/],
    [
      "fewer keys than are asked for",
      { trustedKeys: { ...trusting(ana, ben), threshold: 2 }, signWith: ana.privatePem },
      /must have 2 of the keys that are trusted, got 1/,
    ],
    ["a misspelt option", { trustedKeys, signwith: ana.privatePem }, /did you mean signWith/],
  ])("refuses %s when it is made, and quotes nothing of a key", (_, options, message) => {
    const make = () => signedStore(memoryStore(), options as never)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
    for (const secret of ana.privatePem.split("\n").filter((line) => line.length > 10 && !line.includes("KEY"))) {
      expect(make).not.toThrow(secret)
    }
  })
})
