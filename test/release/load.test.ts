import { createHash } from "node:crypto"
import { execFileSync } from "node:child_process"
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { rulesEngine } from "../../src/engines/rules.js"
import { isSerinError } from "../../src/errors.js"
import type { SerinError, SerinErrorCode } from "../../src/errors.js"
import { keepLoaded } from "../../src/release/keep-loaded.js"
import { loadRelease, releaseDirectory } from "../../src/release/load.js"
import type { Engine, Release } from "../../src/release/ports.js"
import { runs } from "../runs.js"

const engines = [rulesEngine()]
const context = { sessionId: "s1", startedAt: 0 }
const MANIFEST = 'version: "1.4.0"\npolicy: { engine: rules }\n'
const RULES = 'rules: [{ id: read, action: "get_*", effect: allow }]\n'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "serin-release-"))
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function write(files: Record<string, string | Uint8Array>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), content)
  }
}

async function failure(promise: Promise<unknown>): Promise<SerinError> {
  const error = await promise.then(
    () => new Error("it was loaded"),
    (reason: unknown) => reason,
  )
  if (!isSerinError(error)) throw error
  return error
}

/** Problems as `where: message (fix)`, the places relative to the root. */
async function problemsOf(promise: Promise<unknown>, code: SerinErrorCode = "RELEASE_INVALID"): Promise<string[]> {
  const error = await failure(promise)
  expect(error.code).toBe(code)
  return error.problems.map(({ where, message, fix }) =>
    `${where}: ${message}${fix === undefined ? "" : ` (${fix})`}`.replaceAll(`${root}/`, ""),
  )
}

/** Load a release whose manifest lists the given files. */
async function loadWith(files: unknown): Promise<unknown> {
  await write({ "1.4.0/release.yaml": JSON.stringify({ version: "1.4.0", policy: { engine: "rules", files } }) })
  return loadRelease(join(root, "1.4.0"), { engines })
}

describe("loadRelease", () => {
  it("loads the manifest's version and a policy of its rules, rules.yaml by default", async () => {
    await write({ "1.4.0/release.yaml": MANIFEST, "1.4.0/rules.yaml": RULES })
    const release = await loadRelease(join(root, "1.4.0"), { engines, version: "1.4.0" })
    expect(release.version).toBe("1.4.0")
    expect(release.policy.evaluate({ action: "get_user" }, context)).toEqual({ outcome: "allow", rule: "read" })
    expect(Object.isFrozen(release)).toBe(true)
  })

  it("reads several files in the order of the manifest, folders and JSON too", async () => {
    await write({
      "1.4.0/a/first.yaml": 'rules: [{ id: first, action: "x", effect: deny }]',
      "1.4.0/b.json": '{"rules": [{"id": "second", "action": "*", "effect": "allow"}]}',
    })
    const release = (await loadWith(["a/first.yaml", "b.json"])) as Awaited<ReturnType<typeof loadRelease>>
    expect(release.policy.evaluate({ action: "x" }, context)).toMatchObject({ rule: "first" })
    expect(release.policy.evaluate({ action: "y" }, context)).toMatchObject({ rule: "second" })
  })

  it("hashes what it read: the digest is that of sha256sum over path and content", async () => {
    const manifest = 'version: "1.4.0"\npolicy: { engine: rules, files: [z.yaml, a.yaml] }'
    const [z, a] = ["x", "y"].map((name) => `rules: [{ id: ${name}, action: ${name}, effect: allow }]`) as [
      string,
      string,
    ]
    await write({ "1.4.0/release.yaml": manifest, "1.4.0/z.yaml": z, "1.4.0/a.yaml": a, "1.4.0/README.md": "not read" })
    const { digest } = await loadRelease(join(root, "1.4.0"), { engines })
    const sha256 = (text: string) => createHash("sha256").update(text).digest("hex")
    const sorted = `${sha256(a)}  a.yaml\n${sha256(manifest)}  release.yaml\n${sha256(z)}  z.yaml\n`
    expect(digest).toBe(`sha256:${sha256(sorted)}`)
  })

  it.skipIf(process.platform !== "linux")("gives the digest that the shell gives", async () => {
    await write({ "1.4.0/release.yaml": MANIFEST, "1.4.0/rules.yaml": RULES })
    const shell = execFileSync("sh", ["-c", "sha256sum release.yaml rules.yaml | sha256sum"], {
      cwd: join(root, "1.4.0"),
      encoding: "utf8",
    })
    expect((await loadRelease(join(root, "1.4.0"), { engines })).digest).toBe(`sha256:${shell.slice(0, 64)}`)
  })

  it("changes the digest with any byte, any name and the manifest, and with nothing else", async () => {
    const load = async (files: Record<string, string>) => {
      const directory = await mkdtemp(join(root, "r-"))
      for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
      return (await loadRelease(directory, { engines })).digest
    }
    const other = 'version: "1.4.0"\npolicy: { engine: rules, files: [other.yaml] }\n'
    const digests = await Promise.all([
      load({ "release.yaml": MANIFEST, "rules.yaml": RULES }),
      load({ "release.yaml": MANIFEST, "rules.yaml": `${RULES}#` }),
      load({ "release.yaml": `${MANIFEST}#`, "rules.yaml": RULES }),
      load({ "release.yaml": other, "other.yaml": RULES }),
    ])
    expect(new Set(digests).size).toBe(digests.length)
    expect(await load({ "release.yaml": MANIFEST, "rules.yaml": RULES })).toBe(digests[0])
  })

  it("tells the problems of the manifest and of the rules together", async () => {
    await write({
      "1.4.0/release.yaml":
        'version: "1.3.0"\nscaners: []\npolicy:\n  engine: rules\n  files: [rules.yaml, gone.yaml]\n',
      "1.4.0/rules.yaml": "rules:\n  - id: a\n    action: x\n    effect: alow\n",
    })
    expect(await problemsOf(loadRelease(join(root, "1.4.0"), { engines, version: "1.4.0" }))).toEqual([
      "1.4.0/release.yaml:1:10: `version` is 1.3.0, but 1.4.0 was asked for (a release lies in the directory of its own version)",
      "1.4.0/release.yaml:2:1: the manifest has the unknown key `scaners` (did you mean `scanners`?)",
      "1.4.0/gone.yaml: is missing",
      "1.4.0/rules.yaml:4:13: rule `a`: `effect` is the unknown `alow` (did you mean `allow`?)",
    ])
  })

  it("keeps the error of the rules as the cause", async () => {
    await write({ "1.4.0/release.yaml": MANIFEST, "1.4.0/rules.yaml": "rules: []" })
    const error = await failure(loadRelease(join(root, "1.4.0"), { engines }))
    expect(error.cause).toMatchObject({ code: "RULES_INVALID" })
    expect(error.message).toContain("there is no rule in `rules`")
  })

  it.each([
    ["an empty manifest", "", /release.yaml:1:1: the file is empty/],
    ["no version", "policy: { engine: rules }", /has no `version` \(write `version: "1.0.0"`\)/],
    ["a version that YAML takes for a number", "version: 1.10\npolicy: { engine: rules }", /put it in quotes: "1.10"/],
    ["a version that is no name", 'version: "../1"\npolicy: { engine: rules }', /"..\/1", which is no version/],
    ["no policy", 'version: "1"', /has no `policy`/],
    ["a policy that is no mapping", 'version: "1"\npolicy: rules', /`policy` must be a mapping/],
    ["no engine", 'version: "1"\npolicy: {}', /`policy` has no `engine` \(only `rules` is known\)/],
    ["an unknown engine", 'version: "1"\npolicy: { engine: rulse }', /unknown `rulse` \(did you mean `rules`\?\)/],
    ["an unknown key", 'version: "1"\nplicy: {}', /unknown key `plicy` \(did you mean `policy`\?\)/],
    ["an unknown key in the policy", 'version: "1"\npolicy: { engine: rules, file: x }', /did you mean `files`\?/],
    ["__proto__", 'version: "1"\n__proto__: { policy: {} }', /unknown key `__proto__`/],
    ["broken YAML", "version: [", /release.yaml:1:11/],
  ])("refuses %s", async (_, manifest, message) => {
    await write({ "1.4.0/release.yaml": manifest, "1.4.0/rules.yaml": RULES })
    expect((await problemsOf(loadRelease(join(root, "1.4.0"), { engines }))).join("\n")).toMatch(message)
  })

  it.each([
    "../outside.yaml",
    "a/../../outside.yaml",
    "/etc/passwd",
    "C:\\rules.yaml",
    "..\\outside.yaml",
    "rules.yaml:stream",
    "./rules.yaml",
    "a//b.yaml",
    "a/",
    "rules.yaml\n",
    "a\u0000.yaml",
  ])("refuses a path that may leave the release, before it touches the file: %j", async (path) => {
    await write({ "outside.yaml": RULES, "1.4.0/rules.yaml": RULES })
    const problems = await problemsOf(loadWith(["rules.yaml", path]))
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(/is no plain path inside the release/)
  })

  it("refuses a link that leaves the release, to a file or through a folder", async () => {
    await write({ "outside/rules.yaml": RULES, "1.4.0/keep.yaml": RULES })
    await symlink(join(root, "outside/rules.yaml"), join(root, "1.4.0/link.yaml"))
    await symlink(join(root, "outside"), join(root, "1.4.0/folder"))
    await symlink("..", join(root, "1.4.0/up"))
    expect(await problemsOf(loadWith(["link.yaml", "folder/rules.yaml", "up/outside/rules.yaml"]))).toEqual([
      "1.4.0/link.yaml: is a link that leaves the release (copy the file into the release)",
      "1.4.0/folder/rules.yaml: is a link that leaves the release (copy the file into the release)",
      "1.4.0/up/outside/rules.yaml: is a link that leaves the release (copy the file into the release)",
    ])
  })

  it("refuses a manifest that is a link out of the release", async () => {
    await write({ "outside.yaml": MANIFEST, "1.4.0/rules.yaml": RULES })
    await symlink(join(root, "outside.yaml"), join(root, "1.4.0/release.yaml"))
    expect(await problemsOf(loadRelease(join(root, "1.4.0"), { engines }))).toEqual([
      "1.4.0/release.yaml: is a link that leaves the release (copy the file into the release)",
    ])
  })

  it("follows links that stay inside, as mounted ConfigMaps have them, and a directory that is a link", async () => {
    await write({ "real/..data_1/release.yaml": MANIFEST, "real/..data_1/rules.yaml": RULES })
    await symlink("..data_1", join(root, "real/..data"))
    await symlink("..data/release.yaml", join(root, "real/release.yaml"))
    await symlink("..data/rules.yaml", join(root, "real/rules.yaml"))
    await symlink("real", join(root, "1.4.0"))
    expect((await loadRelease(join(root, "1.4.0"), { engines })).version).toBe("1.4.0")
  })

  it("refuses what is no file, too large, or no UTF-8", async () => {
    await write({
      "1.4.0/large.yaml": Buffer.alloc(1024 * 1024 + 1, "#"),
      "1.4.0/latin1.yaml": Buffer.from("# caf\xe9\n", "latin1"),
      "1.4.0/folder/x": "",
    })
    expect(await problemsOf(loadWith(["large.yaml", "latin1.yaml", "folder"]))).toEqual([
      "1.4.0/large.yaml: is larger than 1024 KiB",
      "1.4.0/latin1.yaml: is not UTF-8",
      "1.4.0/folder: is no file",
    ])
    await write({ "1.4.0/release.yaml": Buffer.alloc(64 * 1024 + 1, "#") })
    expect(await problemsOf(loadRelease(join(root, "1.4.0"), { engines }))).toEqual([
      "1.4.0/release.yaml: is larger than 64 KiB",
    ])
  })

  it.skipIf(process.platform === "win32")("does not hang on a pipe", async () => {
    await write({ "1.4.0/x": "" })
    execFileSync("mkfifo", [join(root, "1.4.0/pipe.yaml")])
    expect(await problemsOf(loadWith(["pipe.yaml"]))).toEqual(["1.4.0/pipe.yaml: is no file"])
  })

  it("refuses more than a hundred files, and a file twice", async () => {
    await write({ "1.4.0/rules.yaml": RULES })
    const many = Array.from({ length: 101 }, (_, i) => `r${i}.yaml`)
    expect((await problemsOf(loadWith(many))).join()).toMatch(/lists more than 100/)
    expect((await problemsOf(loadWith(["rules.yaml", "rules.yaml"]))).join()).toMatch(/lists a file twice/)
  })

  it("turns whatever an engine throws into a problem, and keeps the cause", async () => {
    await write({ "1.4.0/release.yaml": MANIFEST, "1.4.0/rules.yaml": RULES })
    const cause = new Error("engine out of order")
    const broken: Engine = {
      name: "rules",
      compile: () => {
        throw cause
      },
    }
    const error = await failure(loadRelease(join(root, "1.4.0"), { engines: [broken] }))
    expect(error).toMatchObject({ code: "RELEASE_INVALID", cause })
    expect(error.problems[0]?.message).toBe("the engine `rules` failed: engine out of order")
  })

  it("hands path, text and bytes to the engine, in the order of the manifest, and no text of what is none by its name", async () => {
    const wasm = Buffer.from([0, 97, 115, 109, 0xff])
    await write({ "1.4.0/b.yaml": "b", "1.4.0/a.yaml": "\ufeffa", "1.4.0/p.wasm": wasm })
    const manifest = 'version: "1.4.0"\npolicy: { engine: spy, files: [b.yaml, a.yaml, p.wasm] }'
    await write({ "1.4.0/release.yaml": manifest })
    let seen: unknown
    const spy: Engine = { name: "spy", compile: (files) => ((seen = files), { evaluate: () => "deny" }) }
    await loadRelease(join(root, "1.4.0"), { engines: [spy] })
    expect(seen).toEqual([
      { path: join(root, "1.4.0/b.yaml"), text: "b", bytes: Buffer.from("b") },
      { path: join(root, "1.4.0/a.yaml"), text: "a", bytes: Buffer.from("\ufeffa") },
      { path: join(root, "1.4.0/p.wasm"), text: "", bytes: wasm },
    ])
  })

  it("fails with RELEASE_NOT_FOUND where no directory is", async () => {
    expect((await failure(loadRelease(join(root, "gone"), { engines }))).code).toBe("RELEASE_NOT_FOUND")
  })

  it("refuses engines that cannot be told apart, and none", async () => {
    const options = { engines: [rulesEngine(), rulesEngine()] }
    await expect(loadRelease(root, options)).rejects.toThrow(/different names, got rules, rules/)
    expect(() => releaseDirectory(root, { engines: [] })).toThrow(TypeError)
  })
})

describe("releaseDirectory", () => {
  it("loads a version once and keeps it", async () => {
    await write({ "1.4.0/release.yaml": MANIFEST, "1.4.0/rules.yaml": RULES })
    const source = releaseDirectory(root, { engines })
    const [one, two] = await Promise.all([source.get("1.4.0"), source.get("1.4.0")])
    await rm(join(root, "1.4.0"), { recursive: true })
    expect(one.version).toBe("1.4.0")
    expect(two).toBe(one)
    expect(await source.get("1.4.0")).toBe(one)
  })

  it("does not keep a failure: a release may arrive later", async () => {
    const source = releaseDirectory(root, { engines })
    expect((await failure(Promise.resolve(source.get("1.4.0")))).code).toBe("RELEASE_NOT_FOUND")
    await write({ "1.4.0/release.yaml": MANIFEST, "1.4.0/rules.yaml": RULES })
    expect((await source.get("1.4.0")).version).toBe("1.4.0")
  })

  it("lists the versions that are there when one is not", async () => {
    await write({ "1.4.0/x": "", "1.5.0/x": "", "notes.txt": "", ".hidden/x": "" })
    const source = releaseDirectory(root, { engines })
    expect(await problemsOf(Promise.resolve(source.get("1.6.0")), "RELEASE_NOT_FOUND")).toEqual([
      expect.stringMatching(/^version: there is no release 1.6.0 in .* \(there are 1.4.0, 1.5.0\)$/),
    ])
    await rm(root, { recursive: true })
    expect((await failure(Promise.resolve(source.get("1.6.0")))).message).toMatch(/cannot be read as a directory/)
  })

  it("refuses a release whose manifest says another version", async () => {
    await write({ "1.5.0/release.yaml": MANIFEST, "1.5.0/rules.yaml": RULES })
    const source = releaseDirectory(root, { engines })
    expect(await problemsOf(Promise.resolve(source.get("1.5.0")))).toEqual([
      expect.stringContaining("`version` is 1.4.0, but 1.5.0 was asked for"),
    ])
  })

  it("builds no path from what is no version", async () => {
    await write({ "release.yaml": MANIFEST, "rules.yaml": RULES, "in/1.4.0/x": "" })
    const source = releaseDirectory(join(root, "in"), { engines })
    const hostile = [
      "..",
      ".",
      "",
      "../",
      "/etc",
      "a/b",
      "a\\b",
      "-x",
      ".hidden",
      "a\u0000",
      "é",
      "x".repeat(129),
      "1 ",
    ]
    for (const version of hostile) {
      expect(await problemsOf(Promise.resolve(source.get(version)), "RELEASE_NOT_FOUND")).toEqual([
        expect.stringMatching(/^version: .* is no version \(use up to 128/),
      ])
    }
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: fc.constantFrom(".", "/", "\\", "a", "1", "%", "2e") }), async (version) => {
        expect((await failure(Promise.resolve(source.get(version)))).code).toBe("RELEASE_NOT_FOUND")
      }),
      { numRuns: runs(200) },
    )
  })
})

describe("a source that keeps what it loaded", () => {
  it("is not misled by a load that fails after it was dropped and asked for again", async () => {
    const closed: string[] = []
    const ways: ((failed: boolean) => void)[] = []
    const source = keepLoaded(async (version) => {
      const nth = String(ways.length)
      if (await new Promise<boolean>((resolve) => ways.push(resolve))) throw new Error("too late")
      return {
        version,
        policy: { evaluate: () => "allow" },
        close: async () => void closed.push(nth),
      } satisfies Release
    })
    const first = Promise.resolve(source.get("1.4.0")).catch((error: Error) => error.message)
    const dropped = Promise.resolve(source.drop?.("1.4.0")).catch((error: Error) => error.message)
    const second = source.get("1.4.0")
    ways[0]?.(true)
    expect([await first, await dropped]).toEqual(["too late", "too late"])
    ways[1]?.(false)
    expect(await source.get("1.4.0")).toBe(await second)
    expect(ways).toHaveLength(2)
    await source.drop?.("1.4.0")
    expect(closed).toEqual([])
    await source.drop?.("1.4.0")
    expect(closed).toEqual(["1"])
  })
})
