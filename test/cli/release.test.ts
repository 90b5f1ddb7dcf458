import { createHash, createPrivateKey, createPublicKey } from "node:crypto"
import { execFileSync } from "node:child_process"
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { gunzipSync } from "node:zlib"
import { beforeEach, describe, expect, it } from "vitest"
import { keyPair, signed } from "../release/signing.js"
import { tarOf } from "../release/tar.js"
import { useBench } from "./harness.js"

const bench = useBench()
const MANIFEST = 'version: "1.5.0"\npolicy: { engine: rules, files: [rules.yaml, more/rules.yaml] } # two\n'
const RULES = 'rules: [{ id: read, action: "get_*", effect: allow }]\n'
const MORE = "rules: [{ id: refund, action: refund, effect: deny }]\n"
const FILES = { "release.yaml": MANIFEST, "rules.yaml": RULES, "more/rules.yaml": MORE }

beforeEach(async () => {
  for (const [name, text] of Object.entries(FILES)) await bench().write(`r/1.5.0/${name}`, text)
  await bench().write("r/1.5.0/README.md", "not named")
})

const bytesOf = (path: string): Promise<Buffer> => readFile(join(bench().cwd, path))
const sha256 = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

describe("serin release pack", () => {
  it("packs what the manifest names, sorted, without time and owner, and nothing else", async () => {
    const { code, out } = await bench().serin("release", "pack", "r/1.5.0")
    expect(code).toBe(0)
    expect(out).toMatch(/^wrote r\/1\.5\.0\.tgz {2}\d+ bytes\n {2}1\.5\.0 {2}sha256:[0-9a-f]{64}\n$/)
    const packed = await bytesOf("r/1.5.0.tgz")
    expect(gunzipSync(packed).equals(tarOf(FILES))).toBe(true)
    expect([...packed.subarray(0, 10)]).toEqual([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])
  })

  it("gives the same bytes whenever, wherever and by whomever the files were written", async () => {
    await bench().serin("release", "pack", "r/1.5.0", "--out", "one.tgz")
    for (const [name, text] of Object.entries(FILES).toReversed()) await bench().write(`other/place/${name}`, text)
    await chmod(join(bench().cwd, "other/place/rules.yaml"), 0o777)
    await bench().serin("release", "pack", "other/place/", "--out", "two.tgz")
    expect(await bytesOf("two.tgz")).toEqual(await bytesOf("one.tgz"))
  })

  it("gives the bytes that this test was written with, on every version of Node.js", async () => {
    const rules = Array.from(
      { length: 2000 },
      (_, i) => `  - { id: r${i}, action: "a${(i * 7919) % 2003}_*", effect: deny }`,
    )
    await bench().write("many/release.yaml", 'version: "2.0.0"\npolicy: { engine: rules }\n')
    await bench().write("many/rules.yaml", `rules:\n${rules.join("\n")}\n`)
    const { doc } = await bench().json("release", "pack", "many")
    const packed = await bytesOf("many.tgz")
    expect(doc).toMatchObject({ file: "many.tgz", version: "2.0.0", bytes: packed.length, written: true })
    expect(sha256(packed)).toBe("fa36cb88fc1f964e68319550bfbe070e7464e0fe2e22c04893d56ec7a7f57731")
  })

  it("has the digest of the directory that it was made of", async () => {
    const packed = await bench().json("release", "pack", "r/1.5.0")
    const inspected = await bench().json("release", "inspect", "r/1.5.0")
    expect(packed.doc["digest"]).toBe(inspected.doc["digest"])
    const lines = Object.entries(FILES)
      .map(([name, text]) => `${sha256(text)}  ${name}\n`)
      .sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1))
    expect(packed.doc["digest"]).toBe(`sha256:${sha256(lines.join(""))}`)
  })

  it("writes into the packed manifest where it comes from and what its files are, and leaves the directory as it is", async () => {
    const flags = ["--source", "https://example.com/rules", "--commit", "0123", "--built-at", "2026-01-31T12:00:00Z"]
    await bench().serin("release", "pack", "r/1.5.0", ...flags, "--built-by", "ci", "--digests")
    const { doc } = await bench().json("release", "inspect", "r/1.5.0.tgz")
    expect(doc["provenance"]).toEqual({
      source: "https://example.com/rules",
      commit: "0123",
      builtAt: "2026-01-31T12:00:00Z",
      by: "ci",
    })
    const manifest = gunzipSync(await bytesOf("r/1.5.0.tgz")).toString()
    expect(manifest).toContain(`more/rules.yaml: sha256:${sha256(MORE)}`)
    expect(manifest).toContain("# two")
    expect(await bench().read("r/1.5.0/release.yaml")).toBe(MANIFEST)
  })

  it("keeps the signatures of the directory, unless it writes another manifest", async () => {
    const key = keyPair()
    await bench().write("r/1.5.0/release.dsse.json", signed("1.5.0", FILES, [key])["release.dsse.json"] as string)
    await bench().write("key.pub", key.publicPem)
    await bench().serin("release", "pack", "r/1.5.0")
    expect((await bench().serin("release", "verify", "r/1.5.0.tgz", "--keys", "key.pub")).code).toBe(0)
    const { out } = await bench().serin("release", "pack", "r/1.5.0", "--commit", "x", "--out", "stamped.tgz")
    expect(out).toContain("the directory's signatures are not of this manifest: left out")
    expect((await bench().serin("release", "verify", "stamped.tgz", "--keys", "key.pub")).err).toMatch(
      /RELEASE_UNTRUSTED.*is not signed/,
    )
  })

  it("replaces no other release, and says when there is nothing to do", async () => {
    await bench().serin("release", "pack", "r/1.5.0")
    const before = await bytesOf("r/1.5.0.tgz")
    expect((await bench().serin("release", "pack", "r/1.5.0")).out).toMatch(/^unchanged: r\/1\.5\.0\.tgz/)
    await bench().write("r/1.5.0/rules.yaml", `${RULES}#`)
    const { code, err } = await bench().serin("release", "pack", "r/1.5.0")
    expect(code).toBe(1)
    expect(err).toMatch(/RELEASE_INVALID: r\/1\.5\.0\.tgz is there already.*\n.*give it a new version/)
    expect(await bytesOf("r/1.5.0.tgz")).toEqual(before)
    expect((await readdir(join(bench().cwd, "r"))).toSorted()).toEqual(["1.5.0", "1.5.0.tgz"])
  })

  it.each([
    [
      "rules that do not compile",
      { "rules.yaml": "rules: []" },
      /RELEASE_INVALID.*\n.*rules\.yaml:1:8: there is no rule/,
    ],
    ["a manifest with an unknown key", { "release.yaml": 'version: "1"\nx: 1' }, /unknown key `x`/],
    [
      "names that are one file on some machines",
      { "RULES.yaml": MORE, "release.yaml": MANIFEST.replace("more/rules", "RULES") },
      /are the same name on some machines/,
    ],
  ])("refuses %s, and writes nothing", async (_, files, message) => {
    for (const [name, text] of Object.entries(files)) await bench().write(`r/1.5.0/${name}`, text)
    const { code, err } = await bench().serin("release", "pack", "r/1.5.0")
    expect(code).toBe(1)
    expect(err).toMatch(message)
    expect(await readdir(join(bench().cwd, "r"))).toEqual(["1.5.0"])
  })

  it("packs a release of an engine that it does not know, as it is", async () => {
    await bench().write("x/release.yaml", 'version: "1"\npolicy: { engine: other, files: [a.cedar] }\n')
    await bench().write("x/a.cedar", "permit(principal, action, resource);")
    expect((await bench().serin("release", "pack", "x")).code).toBe(0)
    expect((await bench().serin("release", "verify", "x.tgz")).out).toContain("engine other were not compiled")
  })
})

describe("serin release keygen and sign", () => {
  it("makes a key that openssl reads, for its owner alone, and overwrites none", async () => {
    expect((await bench().serin("release", "keygen", "key")).code).toBe(0)
    if (process.platform !== "win32") expect((await stat(join(bench().cwd, "key"))).mode & 0o777).toBe(0o600)
    const [secret, open] = [await bench().read("key"), await bench().read("key.pub")]
    expect(createPublicKey(createPrivateKey(secret)).export({ type: "spki", format: "pem" })).toBe(open)
    const again = await bench().serin("release", "keygen", "key")
    expect([again.code, again.err]).toEqual([2, expect.stringContaining("key is there already")])
    await rm(join(bench().cwd, "key"))
    expect((await bench().serin("release", "keygen", "key")).err).toContain("key.pub is there already")
  })

  it.each(["r/1.5.0", "r/1.5.0.tgz"])(
    "signs %s so that it verifies, with one key and then with another",
    async (release) => {
      await bench().serin("release", "pack", "r/1.5.0")
      for (const key of ["one", "two"]) await bench().serin("release", "keygen", key)
      await bench().write("both.pub", (await bench().read("one.pub")) + (await bench().read("two.pub")))
      const verify = () => bench().serin("release", "verify", release, "--keys", "both.pub", "--threshold", "2")
      expect((await bench().serin("release", "sign", release, "--key", "one")).out).toContain(
        `1 signature in ${release}`,
      )
      expect((await verify()).err).toMatch(/RELEASE_UNTRUSTED.*2 of the 2 trusted keys must have signed, 1 did/)
      expect((await bench().serin("release", "sign", release, "--key", "one")).out).toContain(
        `1 signature in ${release}`,
      )
      expect((await bench().serin("release", "sign", release, "--key", "two")).out).toContain(
        `2 signatures in ${release}`,
      )
      const { code, out } = await verify()
      expect(code).toBe(0)
      expect(out).toMatch(/signed by 2 of 2 trusted keys, 2 needed: [0-9a-f]{32}, [0-9a-f]{32}/)
    },
  )

  it("gives the same bytes whoever signs a second time", async () => {
    await bench().serin("release", "pack", "r/1.5.0")
    await bench().serin("release", "keygen", "key")
    await bench().serin("release", "sign", "r/1.5.0.tgz", "--key", "key")
    const once = await bytesOf("r/1.5.0.tgz")
    await bench().serin("release", "sign", "r/1.5.0.tgz", "--key", "key")
    expect(await bytesOf("r/1.5.0.tgz")).toEqual(once)
    expect(once.length).toBeGreaterThan(0)
  })

  it("drops signatures of other files, which are void", async () => {
    await bench().serin("release", "keygen", "key")
    await bench().serin("release", "keygen", "other")
    await bench().serin("release", "sign", "r/1.5.0", "--key", "other")
    await bench().write("r/1.5.0/rules.yaml", `${RULES}#`)
    const { doc } = await bench().json("release", "sign", "r/1.5.0", "--key", "key")
    expect(doc).toMatchObject({ signatures: 1, dropped: 1 })
    await bench().write("r/1.5.0/release.dsse.json", "rubbish")
    expect((await bench().json("release", "sign", "r/1.5.0", "--key", "key")).doc).toMatchObject({
      signatures: 1,
      dropped: 0,
    })
  })

  it("signs nothing that cannot be loaded", async () => {
    await bench().serin("release", "keygen", "key")
    await bench().write("r/1.5.0/rules.yaml", "rules: []")
    const { code, err } = await bench().serin("release", "sign", "r/1.5.0", "--key", "key")
    expect([code, err]).toEqual([1, expect.stringContaining("there is no rule")])
    expect(await readdir(join(bench().cwd, "r/1.5.0"))).not.toContain("release.dsse.json")
  })

  it("reads and writes keys that are encrypted by a passphrase", async () => {
    const env = { SERIN_KEY_PASSPHRASE: "correct horse" }
    expect((await bench().serinWith({ env }, "release", "keygen", "key")).out).toContain("private, encrypted")
    expect(await bench().read("key")).toContain("BEGIN ENCRYPTED PRIVATE KEY")
    const sign = ["release", "sign", "r/1.5.0", "--key", "key"]
    expect((await bench().serin(...sign)).err).toContain("$SERIN_KEY_PASSPHRASE does not open it")
    expect((await bench().serinWith({ env }, ...sign)).code).toBe(0)
  })

  it.each([
    ["no key", [], /--key is missing; `serin release keygen` makes one/],
    ["a key that is not there", ["--key", "gone"], /--key gone cannot be read/],
    ["a public key", ["--key", "key.pub"], /holds no private key in PEM/],
    ["a key of another kind", ["--key", "rsa"], /must be an Ed25519 key, got rsa/],
  ])("refuses %s, and tells nothing of it", async (_, flags, message) => {
    await bench().serin("release", "keygen", "key")
    const { generateKeyPairSync } = await import("node:crypto")
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
    await bench().write("rsa", privateKey.export({ type: "pkcs8", format: "pem" }).toString())
    const { code, err } = await bench().serin("release", "sign", "r/1.5.0", ...flags)
    expect(code).toBe(2)
    expect(err).toMatch(message)
    expect(err).not.toMatch(/BEGIN|MII/)
  })

  it.skipIf(process.platform === "win32")("warns of a private key that others may read", async () => {
    await bench().serin("release", "keygen", "key")
    expect((await bench().serin("release", "sign", "r/1.5.0", "--key", "key")).err).toBe("")
    await chmod(join(bench().cwd, "key"), 0o644)
    expect((await bench().serin("release", "sign", "r/1.5.0", "--key", "key")).err).toContain("chmod 600")
  })

  it.skipIf(!hasOpenssl())("takes the keys that openssl makes", async () => {
    const run = (...args: string[]) => execFileSync("openssl", args, { cwd: bench().cwd, stdio: "pipe" })
    run("genpkey", "-algorithm", "ed25519", "-out", "key")
    run("pkey", "-in", "key", "-pubout", "-out", "key.pub")
    await chmod(join(bench().cwd, "key"), 0o600)
    await bench().serin("release", "sign", "r/1.5.0", "--key", "key")
    expect((await bench().serin("release", "verify", "r/1.5.0", "--keys", "key.pub")).out).toContain("signed by 1 of 1")
  })
})

function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" })
    return true
  } catch {
    console.warn("SKIPPED: keys of openssl: it is not there")
    return false
  }
}

describe("serin release verify and inspect", () => {
  it("says what was checked, and that nobody's signature was", async () => {
    const { code, out } = await bench().serin("release", "verify", "r/1.5.0")
    expect(code).toBe(0)
    expect(out).toMatch(/3 files\n {2}the policy compiles\n {2}who signed it was not checked/)
    const { doc } = await bench().json("release", "verify", "r/1.5.0")
    expect(doc).toMatchObject({ ok: true, version: "1.5.0", trusted: false, signers: [], compiled: true })
  })

  it("refuses what changed after it was signed, and a release that is a link to another's file", async () => {
    await bench().serin("release", "keygen", "key")
    await bench().serin("release", "sign", "r/1.5.0", "--key", "key")
    await bench().write("r/1.5.0/more/rules.yaml", `${MORE}#`)
    const changed = await bench().json("release", "verify", "r/1.5.0", "--keys", "key.pub")
    expect(changed.code).toBe(1)
    expect(changed.doc).toMatchObject({ error: { code: "RELEASE_UNTRUSTED" } })
    await rm(join(bench().cwd, "r/1.5.0/more/rules.yaml"))
    await writeFile(join(bench().cwd, "outside.yaml"), MORE)
    await symlink("../../../outside.yaml", join(bench().cwd, "r/1.5.0/more/rules.yaml"))
    expect((await bench().serin("release", "verify", "r/1.5.0")).err).toContain("is a link that leaves the release")
  })

  it.each([
    ["no release", ["verify"], /RELEASE is missing; see `serin help release verify`/],
    ["a threshold without keys", ["verify", "r/1.5.0", "--threshold", "2"], /--threshold needs --keys/],
    [
      "a threshold that is none",
      ["verify", "r/1.5.0", "--keys", "key.pub", "--threshold", "two"],
      /--threshold must be a whole number from 1 to 1, got NaN/,
    ],
    [
      "keys that are none",
      ["verify", "r/1.5.0", "--keys", "r/1.5.0/rules.yaml"],
      /--keys r\/1\.5\.0\/rules\.yaml must hold/,
    ],
    ["the private key", ["verify", "r/1.5.0", "--keys", "key"], /must be a public key, got a PRIVATE KEY/],
    ["three releases", ["diff", "a", "b", "c"], /unexpected argument "c"/],
    ["one release to compare", ["diff", "r/1.5.0"], /NEW is missing/],
    ["a packed release to pack", ["pack", "r.tgz"], /is packed already/],
    ["an empty commit", ["pack", "r/1.5.0", "--commit", ""], /--commit must not be empty/],
    ["an unknown verb", ["pakc", "x"], /unknown command "release pakc"; did you mean `serin release pack`\?/],
  ])("refuses %s with exit code 2 and the way out", async (_, argv, message) => {
    await bench().serin("release", "keygen", "key")
    await bench().serin("release", "pack", "r/1.5.0", "--out", "r.tgz")
    const { code, err } = await bench().serin("release", ...argv)
    expect(err).toMatch(message)
    expect(code).toBe(2)
  })

  it("says that there is no release", async () => {
    const { code, err } = await bench().serin("release", "inspect", "gone")
    expect([code, err]).toEqual([1, "RELEASE_NOT_FOUND: there is no release at gone\n"])
    await mkdir(join(bench().cwd, "empty"))
    expect((await bench().serin("release", "inspect", "empty")).err).toContain("empty/release.yaml: is missing")
  })

  it("shows files, digests and who says to have signed, and believes none of it", async () => {
    const { out } = await bench().serin("release", "inspect", "r/1.5.0")
    expect(out).toContain(`rules.yaml       ${RULES.length} bytes  sha256:${sha256(RULES)}`)
    expect(out).toMatch(/not signed\n$/)
    const envelope = JSON.parse(signed("1.5.0", FILES, [keyPair()])["release.dsse.json"] as string) as {
      signatures: object[]
    }
    const named = {
      ...envelope,
      signatures: envelope.signatures.map((one) => ({ ...one, keyid: "the boss\u001b[2J" })),
    }
    await bench().write("r/1.5.0/release.dsse.json", JSON.stringify(named))
    expect((await bench().serin("release", "inspect", "r/1.5.0")).out).toMatch(
      /says it is signed by the boss\[2J; not checked\n$/,
    )
    await bench().write("r/1.5.0/release.dsse.json", "{}")
    expect((await bench().serin("release", "inspect", "r/1.5.0")).out).toMatch(
      /release\.dsse\.json is no DSSE envelope/,
    )
  })

  it("explains the group of verbs", async () => {
    for (const argv of [["release"], ["release", "--help"], ["help", "release"]]) {
      const { code, out } = await bench().serin(...argv)
      expect(code).toBe(0)
      expect(out).toMatch(/ {2}release pack +Pack/)
      expect(out).not.toMatch(/^ {2}rollback/m)
    }
    const asked = await bench().serin("help", "release", "sign")
    expect(asked.out).toMatch(/^Usage: serin release sign RELEASE \[flags\]/)
    expect((await bench().serin("release", "sign", "--help")).out).toBe(asked.out)
  })
})
