import { createHash } from "node:crypto"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { rulesEngine } from "../../src/engines/rules.js"
import { isSerinError } from "../../src/errors.js"
import { SERIN_VERSION } from "../../src/model/version.js"
import { loadRelease } from "../../src/release/load.js"

const RULES = 'rules: [{ id: read, action: "get_*", effect: allow }]\n'
const DIGEST = `sha256:${createHash("sha256").update(RULES).digest("hex")}`
const BASE = 'version: "1.4.0"\npolicy: { engine: rules }\n'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "serin-manifest-"))
})
afterEach(() => rm(root, { recursive: true, force: true }))

/** `loaded`, or all problems. */
async function load(more: string, base = BASE): Promise<string> {
  await writeFile(join(root, "release.yaml"), base + more)
  await writeFile(join(root, "rules.yaml"), RULES)
  try {
    await loadRelease(root, { engines: [rulesEngine()] })
    return "loaded"
  } catch (error) {
    if (!isSerinError(error)) throw error
    expect(error.code).toBe("RELEASE_INVALID")
    return error.message.replaceAll(`${root}/`, "")
  }
}

describe("release.yaml", () => {
  it("may say the least version of serin, the digests of its files and where it comes from", async () => {
    const provenance = "{ source: https://example.com/rules, commit: 0123abc, built_at: 2026-01-31T12:00:00Z, by: ci }"
    expect(await load(`serin: ">=0.1"\ndigests: { rules.yaml: "${DIGEST}" }\nprovenance: ${provenance}`)).toBe("loaded")
  })

  it("may not list itself or its signatures among the files", async () => {
    const base = 'version: "1.4.0"\npolicy: { engine: rules, files: [rules.yaml, release.yaml, release.dsse.json] }\n'
    expect(await load("", base)).toMatch(/`files` lists release\.yaml[^]*`files` lists release\.dsse\.json/)
  })
})

describe("serin in release.yaml", () => {
  const [major = 0, minor = 0, patch = 0] = SERIN_VERSION.split(".").map(Number)

  it("is compared with the version of the package", async () => {
    const text = await readFile(fileURLToPath(new URL("../../package.json", import.meta.url)), "utf8")
    expect(SERIN_VERSION).toBe((JSON.parse(text) as { version: string }).version)
  })

  it.each([`${major}.${minor}`, `${major}.${minor}.${patch}`, "0.0.99", "0.0"])("takes >=%s", async (version) => {
    expect(await load(`serin: ">=${version}"`)).toBe("loaded")
  })

  it.each([`${major}.${minor}.${patch + 1}`, `${major}.${minor + 1}`, `${major + 1}.0`, "999999.0"])(
    "refuses >=%s: this serin is older",
    async (version) => {
      expect(await load(`serin: ">=${version}"`)).toContain(
        `the release needs serin >=${version}, and this is ${SERIN_VERSION} (upgrade serin first)`,
      )
    },
  )

  it.each(['"^0.1"', '"0.1"', '">=0"', '">=0.1.0-beta"', '"*"', '">=1e999.0"', '">=99999999999999999999.0"'])(
    "refuses %s, which is no least version",
    async (text) => {
      expect(await load(`serin: ${text}`)).toMatch(/is no least version \(write `serin: ">=0\.1"`\)/)
    },
  )
})

describe("digests in release.yaml", () => {
  it("refuse a file that is another one than they say", async () => {
    const other = `sha256:${"0".repeat(64)}`
    expect(await load(`digests: { rules.yaml: "${other}" }`)).toContain(
      `rules.yaml: is ${DIGEST}, but \`digests\` in release.yaml says ${other}`,
    )
  })

  it.each([
    ["a file that has none", "digests: {}", /`digests` has no `rules\.yaml`/],
    ["a file that is not there", `digests: { rules.yaml: "${DIGEST}", rule.yaml: x }`, /unknown key `rule\.yaml`/],
    ["a digest of another kind", "digests: { rules.yaml: md5 }", /the digest of rules\.yaml is none/],
    ["a huge number for a digest", "digests: { rules.yaml: 1e999 }", /must be a text, not the number 1e999/],
    ["a file named twice", `digests: { rules.yaml: "${DIGEST}", rules.yaml: "${DIGEST}" }`, /twice/],
    ["__proto__", `digests: { rules.yaml: "${DIGEST}", __proto__: x }`, /unknown key `__proto__`/],
  ])("refuse %s", async (_, text, message) => {
    expect(await load(text)).toMatch(message)
  })
})

describe("provenance in release.yaml", () => {
  it.each([
    ["an unknown field", "provenance: { comit: x }", /unknown key `comit` \(did you mean `commit`\?\)/],
    ["a time that is none", "provenance: { built_at: yesterday }", /`built_at` is no time/],
    ["a commit that YAML takes for a number", "provenance: { commit: 1234567 }", /put it in quotes: "1234567"/],
    ["a text without end", `provenance: { by: ${"x".repeat(513)} }`, /longer than 512/],
  ])("refuses %s", async (_, text, message) => {
    expect(await load(text)).toMatch(message)
  })
})
