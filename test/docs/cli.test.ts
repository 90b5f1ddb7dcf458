import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { loadCommands } from "../../src/cli/commands.js"
import type { createPrinter } from "../../src/cli/printer.js"
import { answersOf, documentsOf } from "../../src/cli/schema.js"
import { EXIT } from "../../src/cli/exit-code.js"
import { codeWords, firstColumn, readPage, tableRows } from "./pages.js"

const COMMANDS = await loadCommands()
const page = readPage("reference/cli.md")
const common = firstColumn(page).filter((word) => word.startsWith("--"))

describe("docs/reference/cli.md", () => {
  it("has every command with its summary and its own flags, in the order of `serin --help`", () => {
    const written = tableRows(page).filter(([, summary]) => COMMANDS.some((command) => command.summary === summary))
    const expected = COMMANDS.map(({ name, operand, summary, flags }) => {
      const own = Object.entries(flags)
        .map(([flag, { value }]) => `--${flag}${value === undefined ? "" : ` ${value}`}`)
        .filter((flag) => !common.includes(flag))
      return { name: operand === undefined ? name : `${name} ${operand}`, summary, own }
    })
    const rows = written.map(([name = "", summary = "", own = ""]) => ({
      name: codeWords(name)[0]?.replaceAll("\\|", "|"),
      summary,
      own: codeWords(own).map((flag) => flag.replaceAll("\\|", "|")),
    }))
    expect(rows).toEqual(expected)
  })

  it("names no common flag that no command has", () => {
    const known = new Set(COMMANDS.flatMap(({ flags }) => Object.keys(flags)))
    const unknown = common.filter((flag) => !known.has(flag.replace(/^--(\S+).*$/, "$1")))
    expect(unknown).toEqual(["--help"])
  })

  it("has every format with the commands that write it", () => {
    const rows = tableRows(page).filter(([first = ""]) => first.startsWith("`serin/"))
    const written = rows.map(([format = "", by = ""]) => [codeWords(format)[0], codeWords(by)])
    const expected = [...documentsOf(COMMANDS).keys()].map((format) => {
      return [
        format,
        COMMANDS.filter((command) => answersOf(command).some((one) => one.format === format)).map(({ name }) => name),
      ]
    })
    expect(written).toEqual(expected)
  })

  it("has beside it the schema that `serin schema` writes, of every command that takes --json", async () => {
    let out = ""
    const write = (text: string): void => void (out += text)
    const io = { stdout: { write }, stderr: { write } } as unknown as Parameters<typeof createPrinter>[0]
    await COMMANDS.find(({ name }) => name === "schema")?.run([], { ...io, env: {} })
    const published = readFileSync(new URL("../../docs/reference/cli.schema.json", import.meta.url), "utf8")
    // `serin schema > docs/reference/cli.schema.json`, formatted, brings it up to date.
    expect(JSON.parse(published)).toEqual(JSON.parse(out))
    expect(COMMANDS.filter(({ flags, answers }) => "json" in flags !== (answers !== undefined))).toEqual([])
  })

  it("has every exit code", () => {
    const codes = tableRows(page).flatMap(([first = ""]) => (/^\d+$/.test(first) ? [Number(first)] : []))
    expect(codes).toEqual(Object.values(EXIT).toSorted((a, b) => a - b))
  })
})
