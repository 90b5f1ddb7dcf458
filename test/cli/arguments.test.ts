import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { loadCommands } from "../../src/cli/commands.js"
import { useBench } from "./harness.js"

const COMMANDS = await loadCommands()
const bench = useBench()
const VERBS = [
  ..."init validate calibrate plan replay start status watch pause resume approve promote rollback contain kill retry history explain diffs verify controller notify serve sign keygen".split(
    " ",
  ),
  ..."pack sign verify inspect diff keygen".split(" ").map((verb) => `release ${verb}`),
  "schema",
  "completion",
]

describe("serin", () => {
  it("has each verb once", () => {
    expect(COMMANDS.map(({ name }) => name)).toEqual(VERBS)
  })

  it.each([[], ["--help"], ["-h"], ["help"]])("explains itself when asked with %j", async (...argv: string[]) => {
    const { code, out, err } = await bench().serin(...argv.flat())
    expect({ code, err }).toEqual({ code: 0, err: "" })
    expect(out).toMatch(/^Usage: serin COMMAND/)
    for (const verb of VERBS) expect(out).toMatch(new RegExp(`^  ${verb} +[A-Z]`, "m"))
  })

  it.each(VERBS)("explains %s with every flag, from the table, and runs nothing", async (verb) => {
    const { code, out } = await bench().serin("help", ...verb.split(" "))
    expect(code).toBe(0)
    expect(out).toContain(`Usage: serin ${verb}`)
    for (const flag of Object.keys(COMMANDS.find(({ name }) => name === verb)?.flags ?? {})) {
      expect(out).toContain(`--${flag}`)
    }
    expect((await bench().serin(...verb.split(" "), "--help", "--state", "x")).out).toBe(out)
  })

  it("tells its version", async () => {
    const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      version: string
    }
    expect(await bench().serin("--version")).toEqual({ code: 0, out: `${manifest.version}\n`, err: "" })
  })

  it.each([
    ["an unknown verb", ["rolback"], 'unknown command "rolback"; did you mean `serin rollback`?'],
    ["a verb unlike any", ["xyzzyxyzzy"], "there are init, validate"],
    ["help on an unknown verb", ["help", "stat"], "did you mean `serin start`?"],
    ["an unknown flag", ["pause", "--raeson", "x"], "unknown flag --raeson; did you mean --reason?"],
    ["a flag of another verb", ["pause", "--position", "deny"], "unknown flag --position; see `serin help pause`"],
    ["a flag without its value", ["pause", "--reason"], "--reason"],
    ["a switch with a value", ["pause", "--json=1"], "--json"],
    ["an argument too many", ["pause", "now"], 'unexpected argument "now"'],
    ["a second argument", ["init", "a", "b"], 'unexpected argument "b"'],
    ["a value outside of the list", ["kill", "--position", "off"], '--position must be stable or deny, got "off"'],
    ["a bad number", ["history", "--limit", "-1"], "--limit"],
    ["a number that is none", ["history", "--limit", "1e3"], 'whole number from 1 on, got "1e3"'],
    ["flags that exclude each other", ["validate", "--spec-only", "--releases", "x"], "exclude each other"],
  ])("refuses %s with exit code 2 and the way out", async (_, argv, message) => {
    const { code, out, err } = await bench().serin(...argv)
    expect({ code, out }).toEqual({ code: 2, out: "" })
    expect(err).toMatch(/^USAGE: /)
    expect(err).toContain(message)
  })

  it("says what went wrong as a document with --json, and nothing else on stdout", async () => {
    const { code, out, err } = await bench().serin("status", "--json")
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({ format: "serin/error/1", error: { code: "SPEC_INVALID", problems: [] } })
    expect(err).toContain("serin init")
  })

  it("writes the schema of one command's documents, or of one format, and knows slips of the pen", async () => {
    const ofVerb = await bench().serin("schema", "release diff")
    expect(JSON.parse(ofVerb.out)).toMatchObject({ properties: { format: { const: "serin/release-diff/1" } } })
    expect((await bench().serin("schema", "serin/release-diff/1")).out).toBe(ofVerb.out)
    const { code, err } = await bench().serin("schema", "serin/statsu/1")
    expect({ code, err }).toMatchObject({ code: 2, err: expect.stringContaining("did you mean serin/status/1?") })
  })

  it("shows a stack trace with SERIN_DEBUG=1 alone", async () => {
    expect((await bench().serin("status")).err).not.toContain("    at ")
    expect((await bench().serinWith({ env: { SERIN_DEBUG: "1" } }, "status")).err).toMatch(/^\s+at .*place/m)
  })
})
