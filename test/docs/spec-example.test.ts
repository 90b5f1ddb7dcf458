import { describe, expect, it } from "vitest"
import { rulesEngine } from "../../src/engines/rules.js"
import { isSerinError } from "../../src/errors.js"
import { CRITERIA } from "../../src/model/verdict.js"
import { parseSpec } from "../../src/rollout/spec.js"
import { parsePage } from "./markdown.js"
import { codeWords, firstColumn, readPage } from "./pages.js"

const PAGES = ["guide/acceptance-criteria.md", "reference/spec.md", "reference/engines/rules.md"]
const yaml = PAGES.flatMap((name) => parsePage(readPage(name)).blocks).filter(({ language }) => language === "yaml")
const startingWith = (text: string) =>
  yaml.filter(({ code }) => code.startsWith(text)).map((block) => ({ ...block, where: `${block.path}:${block.line}` }))

/** A key that no parser knows, nor takes for a slip of the pen. */
const KEY = "zzzzzzzzzzzzzzzz"

/** What a parser advises about `KEY`, which is the list of those that it knows. */
function adviceOf(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    if (!isSerinError(error)) throw error
    return error.problems.find(({ message }) => message.includes(KEY))?.fix ?? ""
  }
  throw new Error("an unknown key was accepted")
}

const keysOf = (text: string): string[] =>
  adviceOf(() => parseSpec(text, { path: "rollout.yaml" }))
    .replace("known keys: ", "")
    .split(", ")

const KEYS: Readonly<Record<string, readonly string[]>> = {
  "the top level": keysOf(`{${KEY}: 1}`),
  canary: keysOf(`{canary: {${KEY}: 1}}`),
  "a stage": keysOf(`{canary: {stages: [{${KEY}: 1}]}}`),
  shadow: keysOf(`{canary: {shadow: {${KEY}: 1}}}`),
  pins: keysOf(`{canary: {pins: {${KEY}: 1}}}`),
  gate: keysOf(`{canary: {gate: {${KEY}: 1}}}`),
  acceptance_criteria: keysOf(`{canary: {acceptance_criteria: {${KEY}: 1}}}`),
}

describe("complete examples of the docs", () => {
  it.each(startingWith("rollout:"))("$where is a rollout that parses", ({ code }) => {
    expect(parseSpec(code, { path: "rollout.yaml" }).criteria.length).toBeGreaterThan(0)
  })

  it.each(startingWith("rules:"))("$where are rules that compile", ({ code }) => {
    expect(rulesEngine().compile([{ path: "rules.yaml", text: code }]).evaluate).toBeTypeOf("function")
  })

  it("are there", () => {
    expect(startingWith("rollout:").length).toBeGreaterThan(2)
    expect(startingWith("rules:").length).toBeGreaterThan(2)
  })
})

describe("docs/reference/spec.md", () => {
  const documented = firstColumn(readPage("reference/spec.md"))

  it.each(Object.entries(KEYS))("has a row for every key of %s", (_, keys) => {
    expect(keys.length).toBeGreaterThan(0)
    expect(keys.filter((key) => !documented.includes(key))).toEqual([])
  })

  it("has a row for every criterion", () => {
    expect(KEYS["acceptance_criteria"]).toEqual([...CRITERIA])
  })

  it("has no row for a key that the parser does not know", () => {
    const intents = ["tighten", "loosen", "refactor"] // rows as well, of the key `intent`
    const known = new Set([...Object.values(KEYS).flat(), ...intents])
    expect(documented.filter((key) => !known.has(key))).toEqual([])
  })

  it("shows every key in its full example", () => {
    const examples = startingWith("rollout:").filter(({ path }) => path.endsWith("spec.md"))
    const full = examples.find(({ code }) => code.includes("intent:"))?.code ?? ""
    const criterion = keysOf(`{canary: {acceptance_criteria: {error_rate_max: {${KEY}: 1}}}}`)
    const keys = [...Object.values(KEYS).flat(), ...criterion]
    expect(keys.filter((key) => !new RegExp(`\\b${key}:`).test(full))).toEqual([])
  })
})

describe("docs/reference/engines/rules.md", () => {
  it("has a row for every key of a rule", () => {
    const text = `rules: [{ ${KEY}: 1 }]`
    const keys = codeWords(adviceOf(() => rulesEngine().compile([{ path: "rules.yaml", text }])))
    expect(keys).toContain("action")
    expect(keys.filter((key) => !firstColumn(readPage("reference/engines/rules.md")).includes(key))).toEqual([])
  })
})
