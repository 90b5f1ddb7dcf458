import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { rulesEngine } from "../../src/engines/rules.js"
import { isSerinError } from "../../src/errors.js"
import type { SerinError } from "../../src/errors.js"
import { releaseBundles } from "../../src/release/bundles.js"
import { loadRelease, releaseDirectory } from "../../src/release/load.js"
import type { LoadOptions } from "../../src/release/load.js"
import { loadedModules, MAX_MODULES, moduleCode, takeRoom } from "../../src/release/module-code.js"
import type { Release, ScanReport } from "../../src/release/ports.js"
import { keyPair } from "./signing.js"
import { gz, tarOf } from "./tar.js"

const RULES = 'rules: [{ id: read, action: "get_*", effect: allow }]\n'
const context = { sessionId: "a", startedAt: 0 }
const call = { action: "get_order" }

let root = ""
let count = 0
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), "serin-modules-"))))
afterAll(() => rm(root, { recursive: true, force: true }))

async function write(version: string, manifest: string, files: Readonly<Record<string, string>>): Promise<string> {
  const dir = join(root, version)
  await mkdir(dir)
  const all = { "release.yaml": `version: "${version}"\n${manifest}\n`, ...files }
  await Promise.all(Object.entries(all).map(([name, text]) => writeFile(join(dir, name), text)))
  return dir
}

const options = (more: Partial<LoadOptions> = {}): LoadOptions => ({
  engines: [rulesEngine()],
  modules: "in-process",
  // A worker starts within some tens of milliseconds; on a machine that is busy, far later.
  moduleTimeoutMs: 20_000,
  ...more,
})

/** Load a release of which the policy is this module. */
async function load(source: string, more: Partial<LoadOptions> = {}, manifest = ""): Promise<Release> {
  const dir = await write(`p${count++}`, `policy: { module: policy.mjs }\n${manifest}`, { "policy.mjs": source })
  return loadRelease(dir, options(more))
}

async function refusal(loading: Promise<unknown>): Promise<SerinError> {
  const error: unknown = await loading.then(
    () => new Error("it was loaded"),
    (reason: unknown) => reason,
  )
  if (!isSerinError(error)) throw error
  return error
}

const COUNTS = `import { sep } from "node:path"
const late = [fetch, sep]
let calls = 0
export const policy = () => ({ evaluate: () => ({ outcome: "allow", rule: String(++calls) }) })`

describe("a policy that is a module", () => {
  it("is made of the version, the config and the sdk of its release, and warmed up before anybody has it", async () => {
    const source = `export const judge = ({ version, config, sdk }) => {
      let ready = false
      return {
        async warm() { ready = true },
        evaluate: ({ input }) => ({ outcome: sdk.limit(input) > config.max ? "deny" : "allow", rule: version + ready }),
      }
    }`
    const dir = await write(
      "1.5.0",
      `policy: { module: policy.mjs, export: judge }
sdk: double
config: { file: config.yaml, schema: schema.json }`,
      {
        "policy.mjs": source,
        "config.yaml": "max: 10",
        "schema.json": '{"type":"object","properties":{"max":{"type":"integer"}}}',
      },
    )
    const sdk = { limit: (input: number) => 2 * input }
    const release = await loadRelease(dir, options({ sdks: { double: async () => sdk } }))
    expect(release.policy.evaluate({ ...call, input: 6 }, context)).toEqual({ outcome: "deny", rule: "1.5.0true" })
    expect(release.policy.evaluate({ ...call, input: 5 }, context)).toEqual({ outcome: "allow", rule: "1.5.0true" })
    expect(release.sdk).toBe(sdk)
  })

  it("shares nothing with the same module in another release, which runs beside it", async () => {
    const [one, other] = [await load(COUNTS), await load(COUNTS)]
    const ruleOf = ({ policy }: Release): unknown => policy.evaluate(call, context)
    expect([one, one, other, one].map(ruleOf)).toMatchObject(["1", "2", "1", "3"].map((rule) => ({ rule })))
  })

  it.each([
    ["throws when it is imported", 'throw new Error("at import")', "it fails: at import"],
    ["waits for what never comes", "await new Promise(() => {})", "it waits for what never comes"],
    ["ends the process", "process.exit(3)", "it calls process.exit(3)"],
    [
      "changes what all releases share",
      "Array.prototype.at = () => 1; export const policy = 1",
      "it changes the global Array.prototype.at",
    ],
    ["adds to what all releases share", "globalThis.mine = 1", "it changes the global mine"],
    ["replaces what Node.js makes late", "globalThis.fetch = () => 1", "it changes the global fetch"],
    ["imports a package", 'import "zod"', 'Failed to resolve module specifier "zod" from policy.mjs'],
    ["exports something else", "export const other = 1", "it must export the function policy, and exports other"],
    [
      "makes something else",
      "export const policy = () => ({})",
      "policy() must answer an object with the function `evaluate`",
    ],
    [
      "cannot warm up",
      'export const policy = () => ({ evaluate() {}, warm() { throw new Error("cold") } })',
      "warm() fails: cold",
    ],
  ])("is refused when it %s, and this process goes on", async (_, source, message) => {
    const { code, problems } = await refusal(load(source))
    expect(code).toBe("RELEASE_INVALID")
    expect(problems).toHaveLength(1)
    expect(problems[0]?.where).toMatch(/policy\.mjs$/)
    expect(problems[0]?.message).toContain(message)
    expect(Object.keys(globalThis)).not.toContain("mine")
    expect([1].at(0)).toBe(1)
  })

  it("is refused when it is not loaded within the limit, also in a loop that has no end", async () => {
    const { code, message } = await refusal(load("for (;;);", { moduleTimeoutMs: 50 }))
    expect(code).toBe("RELEASE_INVALID")
    expect(message).toContain("it is not loaded within 50 ms")
    const slow = load("export const policy = () => new Promise(() => {})", { moduleTimeoutMs: 300 })
    expect((await refusal(slow)).message).toMatch(/it is not (ready|loaded) within 300 ms/)
  })

  it("is refused when no module was allowed, or it is not signed, and is not run", async () => {
    const before = loadedModules().loaded
    expect(await refusal(load(COUNTS, { modules: undefined }))).toMatchObject({
      code: "RELEASE_UNTRUSTED",
      problems: [{ where: expect.stringMatching(/policy\.mjs$/), message: "is a module, which nobody allowed" }],
    })
    const unsigned = await refusal(load(COUNTS, { trustedKeys: { keys: [keyPair().publicPem] } }))
    expect(unsigned.message).toContain("is not signed")
    const isolated = await refusal(load(COUNTS, { modules: "isolated" }))
    expect(isolated.code).toBe("RELEASE_UNTRUSTED")
    expect(isolated.message).toContain("scanners alone can be isolated")
    expect(loadedModules().loaded).toBe(before)
  })

  it("names an sdk that the host gives, or is refused", async () => {
    const sdks = { zod4: () => ({}), broken: () => Promise.reject(new Error("not installed")) }
    expect((await refusal(load(COUNTS, { sdks }, "sdk: zod3"))).message).toContain("did you mean `zod4`?")
    expect((await refusal(load(COUNTS, { sdks }, "sdk: broken"))).message).toContain("not installed")
    expect((await refusal(load(COUNTS, {}, "sdk: toString"))).message).toContain("it gives none")
  })
})

const SCANNER = `let scans = 0
export const scanner = ({ config }) => ({
  scan(text, { direction }) {
    String.prototype.mine = true
    scans += 1
    return text.includes("key") ? { result: "flagged", findings: [{ category: "secret", message: direction + scans }] } : { result: "clean" }
  },
})`
const scanners =
  "policy: { engine: rules }\nscanners: [{ name: keys, module: scan.mjs, directions: [output], timeout_ms: 5000 }]"

describe("a packed release with a module", () => {
  /** Load it as `from`, a folder of its own, and say what lies there afterwards. */
  async function unpack(text: string, name: string) {
    const dir = join(root, name)
    await mkdir(dir)
    const manifest = 'version: "1"\npolicy: { module: policy.mjs }\n'
    await writeFile(join(dir, "1.tgz"), gz(tarOf({ "release.yaml": manifest, "policy.mjs": text })))
    const source = releaseBundles({ from: dir, ...options() })
    try {
      const { policy } = await source.get("1")
      return { loaded: policy.evaluate(call, context), there: await readdir(dir) }
    } catch (error) {
      return { loaded: isSerinError(error) ? error.code : error, there: await readdir(dir) }
    }
  }

  it("runs from memory, and leaves nothing on disk, taken or refused", async () => {
    expect(await unpack(COUNTS, "packed")).toEqual({ loaded: { outcome: "allow", rule: "1" }, there: ["1.tgz"] })
    const bad = 'throw new Error("at import")'
    expect(await unpack(bad, "packed-bad")).toEqual({ loaded: "RELEASE_INVALID", there: ["1.tgz"] })
  })
})

describe("a module that was refused", () => {
  it("that is made when nobody waits for it any more, or is none, is closed", async () => {
    const source = (policy: string): string => `export const policy = ({ sdk }) => {
      const close = () => sdk.closed.push("closed")
      return ${policy}
    }`
    const closed: string[] = []
    const more = { moduleTimeoutMs: 2000, sdks: { kit: () => ({ closed, late }) } }
    let finish = (): void => {}
    const late = new Promise<void>((resolve) => (finish = resolve))
    const slow = load(source("sdk.late.then(() => ({ evaluate() {}, close }))"), more, "sdk: kit")
    expect((await refusal(slow)).message).toContain("it is not ready within 2000 ms")
    expect(closed).toEqual([])
    finish()
    await new Promise(setImmediate)
    expect(closed).toEqual(["closed"])
    await refusal(load(source("({ evaluat() {}, close })"), more, "sdk: kit"))
    expect(closed).toEqual(["closed", "closed"])
  })

  it("is tried again less and less often, and loaded once it works", async () => {
    let tries = 0
    const sdks = {
      lately: () => {
        tries += 1
        if (tries < 3) throw new Error("not yet")
        return {}
      },
    }
    await write("later", "policy: { module: policy.mjs }\nsdk: lately", { "policy.mjs": COUNTS })
    const source = releaseDirectory(root, options({ sdks }))
    const asked: number[] = []
    for (let i = 0; i < 6; i++) {
      expect((await refusal(Promise.resolve(source.get("later")))).message).toContain("not yet")
      asked.push(tries)
    }
    expect(asked).toEqual([1, 1, 2, 2, 2, 2])
    expect(await source.get("later")).toMatchObject({ version: "later" })
  })
})

describe("a scanner that is a module", () => {
  it("has the name, the directions and the limit of the manifest", async () => {
    const dir = await write("s1", scanners, {
      "rules.yaml": RULES,
      "scan.mjs": SCANNER.replace("String.prototype.mine = true", ""),
    })
    const { scanners: [keys] = [] } = await loadRelease(dir, options())
    expect(keys).toMatchObject({ name: "keys", directions: ["output"], timeoutMs: 5000, stateful: false })
    expect(keys?.scan("a key", { ...context, direction: "output" })).toMatchObject({
      findings: [{ message: "output1" }],
    })
  })

  it("runs in workers where the host says so: what it changes is theirs, and dropping the release ends them", async () => {
    await write("s2", scanners, { "rules.yaml": RULES, "scan.mjs": SCANNER })
    const before = loadedModules().loaded
    const source = releaseDirectory(root, { ...options(), modules: "isolated" })
    const release = await source.get("s2")
    expect(await source.get("s2")).toBe(release)
    const at = { ...context, direction: "input" } as const
    // An isolated scanner answers later, and its type says so.
    const scan = async (text: string): Promise<ScanReport | undefined> => release.scanners?.[0]?.scan(text, at)
    expect(await scan("a key")).toMatchObject({ result: "flagged", findings: [{ category: "secret" }] })
    expect("mine" in String.prototype).toBe(false)
    expect(loadedModules().loaded).toBe(before)
    await source.drop?.("s2")
    expect(await scan("fine")).toEqual({ result: "clean" }) // another still has it
    await source.drop?.("s2")
    await expect(scan("fine")).rejects.toThrow("is closed")
    await source.drop?.("s2") // nobody has it: nothing happens
  })

  it("that cannot be loaded in a worker is refused, and so is the release", async () => {
    const dir = await write("s3", scanners, { "rules.yaml": RULES, "scan.mjs": 'throw new Error("at import")' })
    const { code, message } = await refusal(loadRelease(dir, options({ modules: "isolated" })))
    expect(code).toBe("RELEASE_INVALID")
    expect(message).toContain("at import")
  })
})

describe("a monitor that is a module", () => {
  it("watches, and is given back when another part of its release cannot be loaded", async () => {
    const closed: string[] = []
    const monitor = `export const monitor = ({ sdk }) => ({ observe: () => [{ name: "seen" }], close: () => sdk.push("monitor") })`
    const policy = `export const policy = ({ sdk }) => ({ evaluate: () => "allow", close: () => sdk.push("policy") })`
    const manifest = "policy: { module: policy.mjs }\nmonitor: { module: monitor.mjs }\nsdk: list"
    const files = { "policy.mjs": policy, "monitor.mjs": monitor }
    const sdks = { list: () => closed }
    const release = await loadRelease(await write("m1", manifest, files), options({ sdks }))
    expect(release.monitor?.observe("x", context)).toEqual([{ name: "seen" }])
    await release.close?.()
    expect(closed.splice(0)).toEqual(["policy", "monitor"])
    const broken = write("m2", manifest, { ...files, "monitor.mjs": "export const monitor = () => null" })
    await refusal(loadRelease(await broken, options({ sdks })))
    expect(closed).toEqual(["policy"])
  })
})

describe("the manifest", () => {
  it.each([
    ["policy: { module: a.ts }", "must be a .js or .mjs file"],
    ["policy: { module: a.mjs, export: '1' }", "is no name"],
    ["policy: { module: a.mjs, files: [a.yaml] }", "keep one"],
    ["policy: { module: a.mjs, engine: rules }", "keep one"],
    ["policy: { engine: rules }\nscanners: [{ name: a, patterns: a.yaml, timeout_ms: 5 }]", "which is for modules"],
    ["policy: { engine: rules }\nscanners: [{ name: a, module: a.mjs, directions: [in] }]", "are `input` and `output`"],
    ["policy: { engine: rules }\nscanners: [{ name: a, module: a.mjs, timeout_ms: 0 }]", "from 1 to 60000"],
    ["policy: { engine: rules }\nscanners: [{ name: a, module: a.mjs, stateful: 1 }]", "must be true or false"],
    ["policy: { engine: rules }\nmonitor: { module: a.mjs, thresholds: a.yaml }", "keep one"],
    ["policy: { engine: rules }\nmonitor: {}", "has no `thresholds`"],
  ])("refuses %s", async (manifest, message) => {
    const dir = await write(`b${count++}`, manifest, { "rules.yaml": RULES, "a.mjs": "", "a.yaml": "{}" })
    const { code, problems } = await refusal(loadRelease(dir, options()))
    expect(code).toBe("RELEASE_INVALID")
    expect(problems.map((problem) => `${problem.message} ${problem.fix}`).join("\n")).toContain(message)
  })
})

describe("the options", () => {
  it.each([
    [{ modules: "everywhere" as never }, 'modules must be "in-process" or "isolated", got "everywhere"'],
    [{ moduleTimeoutMs: 0 }, "moduleTimeoutMs must be above 0"],
    [{ sdks: { zod: "zod" as never } }, "sdks.zod must be a function"],
  ])("are refused: %j", (more, message) => {
    expect(() => releaseDirectory(root, options(more))).toThrow(message)
  })
})

describe("modules that are loaded", () => {
  it("are as many as a process may have, and no more", async () => {
    const dir = await write("last", "policy: { module: policy.mjs }", { "policy.mjs": COUNTS })
    for (let i = 0; loadedModules().loaded < MAX_MODULES; i++) {
      const file = { name: `${i}.mjs`, path: "", text: "", bytes: new Uint8Array() }
      expect(takeRoom(moduleCode(file, "policy", { version: "1", digest: "sha256:0" }))).toBe(true)
    }
    const { code, message } = await refusal(loadRelease(dir, options()))
    expect(code).toBe("RELEASE_UNAVAILABLE")
    expect(message).toContain(`has loaded ${MAX_MODULES} modules of releases, which Node.js cannot unload`)
    expect(loadedModules()).toEqual({ loaded: MAX_MODULES, max: MAX_MODULES })
  })
})
