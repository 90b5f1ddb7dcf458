import { existsSync } from "node:fs"
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { rulesEngine } from "../../src/engines/rules.js"
import { isSerinError } from "../../src/errors.js"
import { releaseBundles } from "../../src/release/bundles.js"
import type { Engine } from "../../src/release/ports.js"
import { keyPair, signed } from "./signing.js"
import type { Content } from "./signing.js"
import { gz, pax, tar, tarOf } from "./tar.js"
import type { Entry } from "./tar.js"
import { runs } from "../runs.js"

const MANIFEST = 'version: "1.5.0"\npolicy: { engine: rules }\n'
const RULES = 'rules: [{ id: read, action: "get_*", effect: allow }]\n'
const GOOD = { "release.yaml": MANIFEST, "rules.yaml": RULES }
const ENTRIES: readonly Entry[] = Object.entries(GOOD).map(([name, content]) => ({ name, content }))

let root: string
let compiled = 0
beforeEach(async () => {
  compiled = 0
  root = await mkdtemp(join(tmpdir(), "serin-hostile-"))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const rules = rulesEngine()
const counting: Engine = { name: "rules", compile: (files) => (compiled++, rules.compile(files)) }

/** `loaded`, or the code and message of the refusal; then nothing was compiled, and nothing lies beside the bundle. */
async function load(packed: Uint8Array, keys?: readonly string[]): Promise<string> {
  await writeFile(join(root, "1.5.0.tgz"), packed)
  const trustedKeys = keys === undefined ? undefined : { keys }
  try {
    await releaseBundles({ from: root, engines: [counting], trustedKeys }).get("1.5.0")
    return "loaded"
  } catch (error) {
    if (!isSerinError(error)) throw error
    expect(await readdir(root)).toEqual(["1.5.0.tgz"])
    return `${error.code}: ${error.message.replaceAll(root, "")}`
  }
}

/** The same for what must be refused before any of it is looked at as a release. */
async function refusal(packed: Uint8Array): Promise<string> {
  const told = await load(packed)
  expect(compiled).toBe(0)
  return told
}

describe("a packed release", () => {
  it("loads from what is built by hand to the documented form", async () => {
    expect(await load(gz(tarOf(GOOD)))).toBe("loaded")
    expect(await load(gz(tar(ENTRIES), { level: 0 }))).toBe("loaded")
    expect(await load(gz(tarOf({ ...GOOD, "release.dsse.json": "{}" })))).toBe("loaded")
  })

  it.each([
    ["climbs out of it", "../outside.yaml"],
    ["climbs out of it further down", "a/../../outside.yaml"],
    ["is absolute", "/etc/cron.d/serin"],
    ["is absolute on Windows", "C:\\Windows\\x"],
    ["is a share", "\\\\server\\x"],
    ["is a stream", "rules.yaml:x"],
    ["names the folder itself", "./rules.yaml"],
    ["is empty in the middle", "a//b"],
    ["has a control character", "a\u0007"],
  ])("is refused for a path that %s", async (_, name) => {
    expect(await refusal(gz(tar([{ name, content: "x" }, ...ENTRIES])))).toMatch(/RELEASE_INVALID: .* is no plain path/)
    expect(existsSync(join(root, "..", "outside.yaml"))).toBe(false)
  })

  it.each([
    ["a symlink", { type: "2", linkname: "/etc/passwd" }, "symlink"],
    ["a hard link", { type: "1", linkname: "/etc/passwd" }, "link"],
    ["a character device", { type: "3" }, "character-device"],
    ["a block device", { type: "4" }, "block-device"],
    ["a pipe", { type: "6" }, "fifo"],
    ["a folder", { type: "5" }, "directory"],
  ])("is refused for %s", async (_, entry, kind) => {
    const told = await refusal(gz(tar([{ name: "rules.yaml", ...entry }, ENTRIES[0] as Entry])))
    expect(told).toMatch(new RegExp(`RELEASE_INVALID: .*"rules.yaml" is a ${kind}, and a release holds files alone`))
  })

  it.each([
    ["a contiguous file", { type: "7" }],
    ["a sparse file", { type: "S" }],
    ["a kind that nobody knows", { type: "~" }],
    ["an old file", { type: "\0" }],
  ])("is refused for %s, which tools read in different ways", async (_, entry) => {
    const entries = [ENTRIES[0] as Entry, { ...(ENTRIES[1] as Entry), ...entry }]
    expect(await refusal(gz(tar(entries)))).toMatch(/RELEASE_INVALID: .*was not written by `serin release pack`/)
  })

  it.each([
    ["a pax header that renames", { name: "p", type: "x", content: pax({ path: "../outside" }) }, /extended header/],
    [
      "a pax header that renames to a good name",
      { name: "p", type: "x", content: pax({ path: "rules.yaml" }) },
      /extended header/,
    ],
    ["a pax header with another size", { name: "p", type: "x", content: pax({ size: "1" }) }, /extended header/],
    [
      "a pax header with a huge size",
      { name: "p", type: "x", content: pax({ size: "99999999999999999999" }) },
      /extended header/,
    ],
    [
      "a pax header for __proto__",
      { name: "p", type: "x", content: pax({ __proto__x: "1", constructor: "1" }) },
      /extended header/,
    ],
    ["a pax header that is rubbish", { name: "p", type: "x", content: "rubbish" }, /not written by/],
    ["a pax header for all", { name: "p", type: "g", content: pax({ path: "rules.yaml" }) }, /extended header/],
    [
      "a GNU long name",
      { name: "././@LongLink", type: "L", content: "../outside\0" },
      /is no plain path|not written by/,
    ],
    [
      "a GNU long name that is good",
      { name: "././@LongLink", type: "L", content: "rules.yaml\0" },
      /not written by|same name/,
    ],
  ])("is refused for %s", async (_, entry, message) => {
    expect(await refusal(gz(tar([entry, ...ENTRIES])))).toMatch(message)
  })

  it.each([
    ["a name twice", ["rules.yaml"]],
    ["a name twice, by case", ["RULES.yaml"]],
    ["a name twice, by Unicode form", ["caf\u00e9.yaml", "cafe\u0301.yaml"]],
    ["a name twice, by compatibility", ["\ufb01.yaml", "fi.yaml"]],
    ["a name twice, by case in a folder", ["a/b.yaml", "A/B.yaml"]],
    ["a file that is a folder", ["a", "a/b"]],
    ["a folder that is a file", ["a/b", "A"]],
  ])("is refused for %s", async (_, names) => {
    const more = names.map((name) => ({ name, content: "x" }))
    expect(await refusal(gz(tar([...ENTRIES, ...more])))).toMatch(
      /RELEASE_INVALID: .*(are the same name on some machines|is a file and a folder)/,
    )
  })

  it.each([
    ["bytes behind the archive", gz(Buffer.concat([tarOf(GOOD), Buffer.from("hidden")]))],
    ["a second archive in the same tar", gz(Buffer.concat([tarOf(GOOD), tarOf({ "x.yaml": "x" })]))],
    ["more padding", gz(tar(ENTRIES, new Uint8Array(10_240)))],
    ["bytes in the padding", gz(Buffer.concat([tarOf(GOOD).fill(1, 512 + MANIFEST.length, 520 + MANIFEST.length)]))],
    ["another order", gz(tar(ENTRIES.toReversed()))],
    ["a mode", gz(tar([{ ...(ENTRIES[0] as Entry), mode: "0004777\0" }, ENTRIES[1] as Entry]))],
    ["an owner", gz(tar([{ ...(ENTRIES[0] as Entry), owner: "root" }, ENTRIES[1] as Entry]))],
    ["a header of another format", gz(tar(ENTRIES.map((entry) => ({ ...entry, magic: "ustar  \0" }))))],
  ])("is refused for %s", async (_, packed) => {
    expect(await refusal(packed)).toMatch(/RELEASE_INVALID: .*(was not written by `serin release pack`|is no tar)/)
  })

  it("is refused for a name that is not UTF-8, which comes out as another", async () => {
    const packed = gz(withRawName(tar([...ENTRIES, { name: "x.yaml", content: "x" }])))
    expect(await refusal(packed)).toMatch(/RELEASE_INVALID: .*was not written by/)
  })

  it.each([
    ["a wrong checksum", (bytes: Buffer) => bytes.fill("0", 148, 154)],
    ["a number that is none", (bytes: Buffer) => bytes.fill("9", 124, 135)],
    ["a size of 2^95", (bytes: Buffer) => bytes.fill(0xff, 124, 136)],
    ["a size far beyond its end", (bytes: Buffer) => rechecked(bytes.fill("7", 124, 135))],
    ["no end", (bytes: Buffer) => bytes.subarray(0, bytes.length - 1024)],
    ["half a header", (bytes: Buffer) => bytes.subarray(0, 300)],
    ["nothing in it", () => Buffer.alloc(0)],
  ])("is refused for a tar with %s", async (_, damage) => {
    expect(await refusal(gz(damage(tarOf(GOOD))))).toMatch(/^RELEASE_INVALID: /)
  })

  it("is refused when it is empty, and for a file that nobody names", async () => {
    expect(await refusal(gz(tar([])))).toMatch(/RELEASE_INVALID: .*release\.yaml: is missing/s)
    expect(await load(gz(tarOf({ ...GOOD, "z.yaml": "x" })))).toMatch(
      /z\.yaml: is in the release, but release\.yaml does not name it/,
    )
  })

  it("is refused for 100,000 files, when the first too many is met", async () => {
    const block = tar([{ name: "f" }], new Uint8Array(0))
    const many = Buffer.concat([...Array.from({ length: 100_000 }, () => block), Buffer.alloc(1024)])
    // The same name is met first; with different ones, the limit.
    expect(await refusal(gz(many, { level: 1 }))).toMatch(/RELEASE_INVALID/)
    const names = Array.from({ length: 1001 }, (_, i) => ({ name: `f${i}`, content: `${Math.sin(i)}` }))
    expect(await refusal(gz(tar(names)))).toMatch(/holds more than 1000 files/)
  })
})

/** Put a byte that is no UTF-8 into the last name. */
function withRawName(bytes: Buffer): Buffer {
  const at = bytes.indexOf("x.yaml")
  bytes[at] = 0xff
  return rechecked(bytes, Math.floor(at / 512) * 512)
}

/** Make the checksum of a header right again. */
function rechecked(bytes: Buffer, at = 0): Buffer {
  bytes.fill(" ", at + 148, at + 156)
  const sum = bytes.subarray(at, at + 512).reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, at + 148)
  return bytes
}

describe("the gzip of a packed release", () => {
  const good = gz(tarOf(GOOD))

  it("is refused when cut off, wherever that is", async () => {
    for (let length = 0; length < good.length; length += 7) {
      expect(await refusal(good.subarray(0, length))).toMatch(
        /RELEASE_INVALID: .*(is cut off|is no gzip file|is damaged)/,
      )
    }
  })

  it("is refused with anything behind its end: bytes, zeroes, another member", async () => {
    for (const more of [Buffer.from("x"), Buffer.alloc(512), good, gz(tarOf({ "x.yaml": "x" }))]) {
      expect(await refusal(Buffer.concat([good, more]))).toMatch(
        new RegExp(`RELEASE_INVALID: .*has ${more.length} bytes behind its end`),
      )
    }
  })

  it("is refused with a wrong checksum or length, or with extras in its header", async () => {
    for (const at of [good.length - 8, good.length - 4]) {
      const damaged = Buffer.from(good)
      damaged[at] = (damaged[at] ?? 0) ^ 1
      expect(await refusal(damaged)).toMatch(/RELEASE_INVALID: .*is damaged: its checksum is another/)
    }
    expect(await refusal(gz(tarOf(GOOD), { flags: 8 }))).toMatch(/gzip header with extras/)
  })

  it("is refused when it is none", async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from("PK\u0003\u0004"), tarOf(GOOD), Buffer.alloc(100, 0x1f)]) {
      expect(await refusal(bytes)).toMatch(/RELEASE_INVALID: .*is no gzip file/)
    }
  })

  it("is refused as a bomb by its ratio, and by its absolute size, without ever being unpacked whole", async () => {
    const before = process.memoryUsage.rss()
    const ratio = gz(Buffer.alloc(8 * 1024 * 1024))
    expect(ratio.length).toBeLessThan(10_000)
    expect(await refusal(ratio)).toMatch(/RELEASE_INVALID: .*unpacks to more than 4096 KiB/)
    const noise = Buffer.alloc(1024 * 1024)
    let seed = 1
    for (let i = 0; i < noise.length; i++) noise[i] = (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) >>> 24
    const large = gz(Buffer.concat([noise, Buffer.alloc(80 * 1024 * 1024)]), { level: 1 })
    expect(await refusal(large)).toMatch(/RELEASE_INVALID: .*unpacks to more than 65536 KiB/)
    expect(process.memoryUsage.rss() - before).toBeLessThan(512 * 1024 * 1024)
  })

  it("is refused when the packed file is too large, before it is read", async () => {
    expect(await refusal(Buffer.alloc(16 * 1024 * 1024 + 1))).toMatch(/RELEASE_INVALID: .*is larger than 16 MiB/)
  })

  it("never gives anything but a release or a refusal, whichever bytes are damaged", async () => {
    const tared = tarOf(GOOD)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ at: fc.nat(tared.length - 1), value: fc.nat(255) }), { minLength: 1, maxLength: 4 }),
        async (edits) => {
          const bytes = Buffer.from(tared)
          for (const { at, value } of edits) bytes[at] = value
          // A damaged rule file may still be rules; then no byte outside of the two contents differs.
          const told = await load(gz(bytes))
          if (told !== "loaded") expect(told).toMatch(/^RELEASE_INVALID: /)
          else {
            const outside = edits.filter(({ at, value }) => tared[at] !== value && !isContent(at))
            expect(outside).toEqual([])
          }
        },
      ),
      { numRuns: runs(100) },
    )
  })
  const isContent = (at: number): boolean =>
    (at >= 512 && at < 512 + MANIFEST.length) || (at >= 1536 && at < 1536 + RULES.length)
})

describe("the documents of a packed release", () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefghij"
    .split("")
    .map((c, i) => `${c}: &${c} [${Array.from({ length: 9 }, () => `*${"abcdefghij"[i]}`).join(",")}]`)
    .join("\n")}\n`
  const deep = (depth: number): string => "{a: ".repeat(depth) + "1" + "}".repeat(depth)

  it.each([
    ["an alias bomb for a manifest", { "release.yaml": bomb }, /unknown key `a`/],
    [
      "an alias bomb in the manifest",
      { "release.yaml": `${MANIFEST}digests: &a {rules.yaml: &b [*b, *b]}\n` },
      /release\.yaml/,
    ],
    ["an alias bomb for rules", { "rules.yaml": bomb }, /unknown key `a`/],
    ["an alias for a rule", { "rules.yaml": "rules: [&a { id: a, action: x, effect: allow }, *a]" }, /is an alias/],
    [
      "__proto__ in the manifest",
      { "release.yaml": `${MANIFEST}__proto__: { policy: x }\n` },
      /unknown key `__proto__`/,
    ],
    [
      "__proto__ in a rule",
      { "rules.yaml": "rules: [{ id: a, action: x, effect: deny, __proto__: { effect: allow } }]" },
      /unknown key `__proto__`/,
    ],
    [
      "constructor for a rule",
      { "rules.yaml": "constructor: { prototype: { effect: allow } }" },
      /unknown key `constructor`/,
    ],
    [
      "a version that is a huge number",
      { "release.yaml": "version: 1e999\npolicy: { engine: rules }" },
      /not the number 1e999/,
    ],
    [
      "a version of a million digits",
      { "release.yaml": `version: "${"9".repeat(50_000)}"\npolicy: { engine: rules }` },
      /which is no version/,
    ],
    [
      "a requirement of huge numbers",
      { "release.yaml": `${MANIFEST}serin: ">=99999999999999999999.0"` },
      /no least version/,
    ],
    ["nesting in the manifest", { "release.yaml": `x: ${deep(5000)}` }, /nested too deeply/],
    ["nesting in the rules", { "rules.yaml": `rules: ${deep(100_000)}` }, /nested too deeply/],
    [
      "nesting of lists in the rules",
      { "rules.yaml": `rules: ${"[".repeat(200_000)}` },
      /nested too deeply|RELEASE_INVALID/,
    ],
    ["a manifest that is too large", { "release.yaml": `${MANIFEST}${"#".repeat(64 * 1024)}` }, /larger than 64 KiB/],
    ["a rule file that is too large", { "rules.yaml": `${RULES}${"#".repeat(1024 * 1024)}` }, /larger than 1024 KiB/],
    ["a file that is not UTF-8", { "rules.yaml": new Uint8Array([0xff, 0xfe]) }, /is not UTF-8/],
    ["tags that make objects", { "rules.yaml": "rules: !!js/function 'x'" }, /RELEASE_INVALID/],
    [
      "a file of the machine",
      { "release.yaml": 'version: "1.5.0"\npolicy: { engine: rules, files: ["/etc/passwd"] }' },
      /no plain path inside/,
    ],
    [
      "a file beside it",
      { "release.yaml": 'version: "1.5.0"\npolicy: { engine: rules, files: ["../1.5.0.tgz"] }' },
      /no plain path inside/,
    ],
  ] as [string, Content, RegExp][])("are refused for %s, soon", async (_, files, message) => {
    const started = performance.now()
    const told = await load(gz(tarOf({ ...GOOD, ...files })))
    expect(told).toMatch(/^RELEASE_INVALID: /)
    expect(told).toMatch(message)
    expect(({} as { policy?: unknown; effect?: unknown }).policy ?? ({} as { effect?: unknown }).effect).toBeUndefined()
    // Far below what an expanded bomb takes, far above what a busy machine does.
    expect(performance.now() - started).toBeLessThan(20_000)
  })
})

describe("with trusted keys, a packed release", () => {
  const [ana, mallory] = [keyPair(), keyPair()]

  it("is loaded when it is signed, and refused unsigned, forged or changed", async () => {
    const keys = [ana.publicPem]
    expect(await load(gz(tarOf(signed("1.5.0", GOOD, [ana]))), keys)).toBe("loaded")
    expect(compiled).toBe(1)
    expect(await load(gz(tarOf(GOOD)), keys)).toMatch(/^RELEASE_UNTRUSTED: .*is not signed/)
    expect(await load(gz(tarOf(signed("1.5.0", GOOD, [mallory]))), keys)).toMatch(/^RELEASE_UNTRUSTED: .*0 did/)
    const changed = { ...signed("1.5.0", GOOD, [ana]), "rules.yaml": `${RULES}#` }
    expect(await load(gz(tarOf(changed)), keys)).toMatch(/^RELEASE_UNTRUSTED: .*was signed/)
    expect(compiled).toBe(1)
  })

  it("is verified before any of it is parsed: of rubbish it is said that nobody trusted signed it", async () => {
    const rubbish = { "release.yaml": "{{{{", "rules.yaml": "{{{{", "z.yaml": "x" }
    expect(await load(gz(tarOf(signed("1.5.0", rubbish, [mallory]))), [ana.publicPem])).toMatch(/^RELEASE_UNTRUSTED/)
    expect(await load(gz(tarOf(signed("1.5.0", rubbish, [ana]))), [ana.publicPem])).toMatch(/^RELEASE_INVALID/)
  })

  it("is refused with a file that was added after it was signed", async () => {
    const more = { ...signed("1.5.0", GOOD, [ana]), "extra.yaml": RULES }
    expect(await load(gz(tarOf(more)), [ana.publicPem])).toMatch(/^RELEASE_UNTRUSTED/)
  })
})
