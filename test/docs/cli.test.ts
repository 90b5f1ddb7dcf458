import { describe, expect, it } from "vitest"
import { COMMANDS } from "../../src/cli/commands.js"
import { EXIT } from "../../src/cli/exit-code.js"
import { codeWords, firstColumn, readPage, tableRows } from "./pages.js"

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

  it("has every exit code", () => {
    const codes = tableRows(page).flatMap(([first = ""]) => (/^\d+$/.test(first) ? [Number(first)] : []))
    expect(codes).toEqual(Object.values(EXIT).toSorted((a, b) => a - b))
  })
})
