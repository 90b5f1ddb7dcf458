import { generateKeyPairSync } from "node:crypto"
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { embed } from "../../src/embed.js"
import { rulesEngine } from "../../src/engines/rules.js"
import { isSerinError } from "../../src/errors.js"
import { preAuthenticationEncoding } from "../../src/signing/envelope.js"
import { loadRelease, releaseDirectory } from "../../src/release/load.js"
import type { Engine } from "../../src/release/ports.js"
import type { TrustedKeys } from "../../src/signing/trust.js"
import { digestOf, envelope, keyPair, signed } from "./signing.js"
import type { Content, KeyPair } from "./signing.js"

const engines = [rulesEngine()]
const FILES = {
  "release.yaml": 'version: "1.5.0"\npolicy: { engine: rules }\n',
  "rules.yaml": 'rules: [{ id: read, action: "get_*", effect: allow }]\n',
}
const [ana, ben, cleo, mallory] = [keyPair(), keyPair(), keyPair(), keyPair()] as [KeyPair, KeyPair, KeyPair, KeyPair]
const trusting = (...keys: KeyPair[]): TrustedKeys => ({ keys: keys.map(({ publicPem }) => publicPem) })

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "serin-trust-"))
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function write(files: Content, version = "1.5.0"): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, version, path)), { recursive: true })
    await writeFile(join(root, version, path), content)
  }
}

/** `loaded`, or the code and first line of why not. */
async function outcome(trustedKeys: TrustedKeys | undefined, version = "1.5.0"): Promise<string> {
  try {
    await releaseDirectory(root, { engines, trustedKeys }).get(version)
    return "loaded"
  } catch (error) {
    if (!isSerinError(error)) throw error
    return `${error.code}: ${error.message.replaceAll(root, "").split("\n", 1)[0]}`
  }
}

describe("preAuthenticationEncoding", () => {
  it("gives the bytes of the test vector of the DSSE protocol", () => {
    const bytes = preAuthenticationEncoding("http://example.com/HelloWorld", Buffer.from("hello world"))
    expect(bytes.toString()).toBe("DSSEv1 29 http://example.com/HelloWorld 11 hello world")
  })

  it("counts bytes, not characters", () => {
    expect(preAuthenticationEncoding("é", Buffer.from("ü")).toString()).toBe("DSSEv1 2 é 2 ü")
  })
})

describe("with trustedKeys, releaseDirectory", () => {
  it("loads what a trusted key signed", async () => {
    await write(signed("1.5.0", FILES, [ana]))
    expect(await outcome(trusting(ana))).toBe("loaded")
  })

  it("refuses what nobody signed, and without trustedKeys looks at no signature", async () => {
    await write(FILES)
    expect(await outcome(trusting(ana))).toBe("RELEASE_UNTRUSTED: the release in /1.5.0 is not trusted: is not signed")
    expect(await outcome(undefined)).toBe("loaded")
    await write({ "release.dsse.json": "rubbish" })
    expect(await outcome(undefined)).toBe("loaded")
  })

  it("refuses a forged signature: of a key that is not trusted", async () => {
    await write(signed("1.5.0", FILES, [mallory]))
    expect(await outcome(trusting(ana))).toMatch(
      /^RELEASE_UNTRUSTED: .*1 of the 1 trusted keys must have signed, 0 did/,
    )
  })

  it("refuses a forged keyid: it decides nothing", async () => {
    const mine = JSON.parse(envelope({ version: "1.5.0", digest: digestOf(FILES) }, [ana])) as { signatures: object[] }
    const { signatures } = JSON.parse(envelope({ version: "1.5.0", digest: digestOf(FILES) }, [mallory])) as typeof mine
    await write({
      ...FILES,
      "release.dsse.json": JSON.stringify({ ...mine, signatures: [{ ...signatures[0], keyid: "ana" }] }),
    })
    expect(await outcome(trusting(ana))).toMatch(/0 did/)
    const named = mine.signatures.map((one) => ({ ...one, keyid: "somebody else" }))
    await write({
      "release.dsse.json": JSON.stringify({ ...mine, signatures: named, later: "a field of later versions" }),
    })
    expect(await outcome(trusting(ana))).toBe("loaded")
  })

  it("refuses tampering: a byte changed after signing, in the rules or in the manifest", async () => {
    await write({ ...signed("1.5.0", FILES, [ana]), "rules.yaml": `${FILES["rules.yaml"]}#` })
    expect(await outcome(trusting(ana))).toMatch(
      new RegExp(`^RELEASE_UNTRUSTED: .*the files are sha256:[0-9a-f]{64}, but ${digestOf(FILES)} was signed`),
    )
    await write({ ...FILES, "release.yaml": `${FILES["release.yaml"]}#` })
    expect(await outcome(trusting(ana))).toMatch(/^RELEASE_UNTRUSTED/)
  })

  it("compiles nothing of what it does not trust", async () => {
    await write({ ...signed("1.5.0", FILES, [mallory]) })
    let compiled = 0
    const spy: Engine = { name: "rules", compile: () => (compiled++, { evaluate: () => "deny" }) }
    const load = (keys: TrustedKeys) => loadRelease(join(root, "1.5.0"), { engines: [spy], trustedKeys: keys })
    await expect(load(trusting(ana))).rejects.toMatchObject({ code: "RELEASE_UNTRUSTED" })
    expect(compiled).toBe(0)
    await load(trusting(mallory))
    expect(compiled).toBe(1)
  })

  it("refuses replay: an old release with its good signature under a new version", async () => {
    const old = { ...FILES, "release.yaml": FILES["release.yaml"].replace("1.5.0", "1.4.0") }
    await write(signed("1.4.0", old, [ana]))
    expect(await outcome(trusting(ana))).toMatch(/^RELEASE_INVALID: .*problem/)
    // The manifest rewritten as well: then the files are others.
    await write({ "release.yaml": FILES["release.yaml"] })
    expect(await outcome(trusting(ana))).toMatch(/the version signed must be 1.5.0, got 1.4.0/)
  })

  it("refuses type confusion: what was signed as something else", async () => {
    await write(signed("1.5.0", FILES, [ana], { payloadType: "application/vnd.serin.state+json" }))
    expect(await outcome(trusting(ana))).toMatch(
      /what was signed must be application\/vnd\.serin\.release\+json, got "application\/vnd\.serin\.state\+json"/,
    )
    // Stored under the right type, the signature is over another.
    const text = signed("1.5.0", FILES, [ana], { payloadType: "a/b" })["release.dsse.json"] as string
    await write({ "release.dsse.json": text.replace("a/b", "application/vnd.serin.release+json") })
    expect(await outcome(trusting(ana))).toMatch(/0 did/)
  })

  it.each([
    ["text that is no JSON", "{"],
    ["a list", "[]"],
    ["no signatures field", '{"payload":"","payloadType":""}'],
    ["a signature that is no base64", '{"payload":"","payloadType":"","signatures":[{"sig":"!"}]}'],
    ["a signature of another length", '{"payload":"","payloadType":"","signatures":[{"sig":"AAAA"}]}'],
    ["a payload that is no text", '{"payload":1e999,"payloadType":"","signatures":[]}'],
    ["__proto__", '{"__proto__":{"payload":"","payloadType":"","signatures":[]}}'],
    [
      "more signatures than anybody needs",
      JSON.stringify({
        payload: "",
        payloadType: "",
        signatures: Array.from({ length: 17 }, () => ({ sig: "A".repeat(86) })),
      }),
    ],
    ["nesting without end", `{"payload":${"[".repeat(30_000)}`],
    ["a file without end", " ".repeat(64 * 1024 + 1)],
  ])("refuses an envelope with %s", async (_, text) => {
    await write({ ...FILES, "release.dsse.json": text })
    expect(await outcome(trusting(ana))).toMatch(/^RELEASE_UNTRUSTED: .*release\.dsse\.json (is|cannot)/)
  })

  it.each([
    ["no JSON", "rubbish"],
    ["a later format", { format: "serin/release/2" }],
    ["a field that this version does not know", { expires: "2026-01-01" }],
    ["a digest of another kind", { digest: "md5:0" }],
    ["no UTF-8", new Uint8Array([0x7b, 0xff, 0x7d])],
  ])("refuses a signed statement that is %s", async (_, change) => {
    const statement = { format: "serin/release/1", version: "1.5.0", digest: digestOf(FILES) }
    const payload =
      typeof change === "string" || change instanceof Uint8Array ? change : JSON.stringify({ ...statement, ...change })
    await write({ ...FILES, "release.dsse.json": envelope({}, [ana], { payload }) })
    expect(await outcome(trusting(ana))).toMatch(/RELEASE_UNTRUSTED: .*no statement that this version of serin knows/)
  })

  it("refuses signatures that are a link out of the release", async () => {
    await writeFile(join(root, "outside.json"), signed("1.5.0", FILES, [ana])["release.dsse.json"] as string)
    await write(FILES)
    await symlink(join(root, "outside.json"), join(root, "1.5.0/release.dsse.json"))
    expect(await outcome(trusting(ana))).toMatch(/release\.dsse\.json is a link that leaves the release/)
  })
})

describe("keys rotate and are counted", () => {
  it("while keys change, a release signed with either is trusted; after it, with the new one alone", async () => {
    await write(
      signed("1.4.0", { ...FILES, "release.yaml": FILES["release.yaml"].replace("1.5.0", "1.4.0") }, [ana]),
      "1.4.0",
    )
    await write(signed("1.5.0", FILES, [ben]))
    const both = trusting(ana, ben)
    expect([await outcome(both, "1.4.0"), await outcome(both)]).toEqual(["loaded", "loaded"])
    expect([await outcome(trusting(ben), "1.4.0"), await outcome(trusting(ben))]).toEqual([
      expect.stringMatching(/^RELEASE_UNTRUSTED/),
      "loaded",
    ])
  })

  it("asks for m of n different keys, in any order, others beside them", async () => {
    const two = { ...trusting(ana, ben, cleo), threshold: 2 }
    for (const [signers, loads] of [
      [[ana, ben], true],
      [[cleo, ana], true],
      [[mallory, cleo, ben], true],
      [[ana], false],
      [[ana, mallory], false],
    ] as const) {
      await write(signed("1.5.0", FILES, signers))
      expect(await outcome(two)).toMatch(loads ? /^loaded$/ : /2 of the 3 trusted keys must have signed, 1 did/)
    }
  })

  it("counts a key once, however often its signature is there and whatever the key is called", async () => {
    const two = { ...trusting(ana, ben), threshold: 2 }
    await write(signed("1.5.0", FILES, [ana, ana, ana]))
    expect(await outcome(two)).toMatch(/must have signed, 1 did \(3 signatures are there\)/)
    expect(() => releaseDirectory(root, { engines, trustedKeys: { ...trusting(ana, ana), threshold: 2 } })).toThrow(
      /must be different keys, got [0-9a-f]{32} twice/,
    )
    // The same key as another text: line ends are no difference.
    const keys = [ana.publicPem, ana.publicPem.replaceAll("\n", "\r\n")]
    expect(() => releaseDirectory(root, { engines, trustedKeys: { keys } })).toThrow(/must be different keys/)
  })

  it("reads every key of a text that holds several", async () => {
    await write(signed("1.5.0", FILES, [ana, ben]))
    const keys = [`old:\n${ana.publicPem}\nnew:\n${ben.publicPem}`]
    expect(await outcome({ keys, threshold: 2 })).toBe("loaded")
  })

  const rsa = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  })
  it.each([
    ["no keys", { keys: [] }, TypeError, /got none/],
    ["a key that is no text", { keys: [1] }, TypeError, /trustedKeys\.keys\[0\] must be a text/],
    ["a path", { keys: ["safety/release.pub"] }, TypeError, /pass the text of the key's file/],
    ["a private key", { keys: [ana.privatePem] }, TypeError, /must be a public key, got a PRIVATE KEY/],
    ["a private key behind a public one", { keys: [ana.publicPem + ben.privatePem] }, TypeError, /got a PRIVATE KEY/],
    [
      "a broken key",
      { keys: ["-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"] },
      TypeError,
      /cannot be read/,
    ],
    ["a key of another kind", { keys: [rsa.publicKey] }, TypeError, /must be an Ed25519 key, got rsa/],
    ["a threshold of 0", { ...trusting(ana), threshold: 0 }, RangeError, /from 1 to 1, got 0/],
    ["a threshold that cannot be met", { ...trusting(ana, ben), threshold: 3 }, RangeError, /from 1 to 2, got 3/],
    ["half a threshold", { ...trusting(ana, ben), threshold: 1.5 }, RangeError, /whole number/],
  ])("refuses %s when it is made", (_, trustedKeys, kind, message) => {
    const make = () => releaseDirectory(root, { engines, trustedKeys: trustedKeys as TrustedKeys })
    expect(make).toThrow(kind)
    expect(make).toThrow(message)
  })
})

describe("embed with trustedKeys", () => {
  const ROLLOUT = `
rollout: signed
stable: 1.4.0
canary: { release: 1.5.0, acceptance_criteria: { deny_rate_delta_max: 0.02 } }
`

  it("serves stable when it is signed, and keeps an unsigned canary out, saying why", async () => {
    const old = { ...FILES, "release.yaml": FILES["release.yaml"].replace("1.5.0", "1.4.0") }
    await write(signed("1.4.0", old, [ana]), "1.4.0")
    await write(FILES, "1.5.0")
    await writeFile(join(root, "rollout.yaml"), ROLLOUT)
    const guard = await embed({
      rollout: join(root, "rollout.yaml"),
      releases: root,
      trustedKeys: trusting(ana),
      start: true,
    })
    expect(guard.session("a").evaluate({ action: "get_user" })).toMatchObject({ outcome: "allow", release: "1.4.0" })
    expect(guard.status().unavailable.get("1.5.0")).toMatch(/1\.5\.0 is not trusted: is not signed/)
    await guard.close()
  })

  it("does not start on a stable release that is not signed", async () => {
    await write(FILES, "1.4.0")
    await writeFile(join(root, "rollout.yaml"), ROLLOUT)
    await write({ ...FILES, "release.yaml": FILES["release.yaml"].replace("1.5.0", "1.4.0") }, "1.4.0")
    const starting = embed({ rollout: join(root, "rollout.yaml"), releases: root, trustedKeys: trusting(ana) })
    await expect(starting).rejects.toMatchObject({ code: "RELEASE_UNTRUSTED" })
  })

  it("refuses trustedKeys beside releases that it does not read itself", async () => {
    await writeFile(join(root, "rollout.yaml"), ROLLOUT)
    const starting = embed({ rollout: join(root, "rollout.yaml"), releases: new Map(), trustedKeys: trusting(ana) })
    await expect(starting).rejects.toThrow(TypeError)
  })
})
