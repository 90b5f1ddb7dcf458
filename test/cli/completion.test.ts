import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { delimiter, join } from "node:path"
import { tmpdir } from "node:os"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { loadCommands } from "../../src/cli/commands.js"
import { useBench } from "./harness.js"

const bench = useBench()
const run = promisify(execFile)

/** What is typed, and what is offered for it. */
interface Case {
  readonly typed: string
  readonly offers: readonly string[]
}

const CASES: readonly Case[] = [
  { typed: "serin prom", offers: ["promote"] },
  { typed: "serin promote --to ", offers: ["next", "end"] },
  { typed: "serin promote --to n", offers: ["next"] },
  { typed: "serin promote --reas", offers: ["--reason"] },
  { typed: "serin release ", offers: ["pack", "sign", "verify", "inspect", "diff", "keygen"] },
  { typed: "serin release insp", offers: ["inspect"] },
  { typed: "serin release diff one-f", offers: ["one-file.tgz"] },
  { typed: "serin release diff --json one-file.tgz other-f", offers: ["other-file.tgz"] },
  { typed: "serin release pack --out one-file.tgz fold", offers: ["folder-1"] },
  { typed: "serin verify one-file.tgz other-f", offers: [] },
  { typed: "serin help relea", offers: ["release"] },
  { typed: "serin help release insp", offers: ["inspect"] },
  { typed: "serin help kill ", offers: [] },
  { typed: "serin init --framework lang", offers: ["langchain"] },
  { typed: "serin init fold", offers: ["folder-1"] },
  { typed: "serin start --releases fold", offers: ["folder-1"] },
  { typed: "serin start --rollout one-file", offers: ["one-file.tgz"] },
  { typed: "serin completion ", offers: ["bash", "zsh", "fish"] },
  { typed: "serin kill --reason ", offers: [] },
  { typed: "serin kill --by one-f", offers: [] },
  { typed: "serin xyzzy ", offers: [] },
]

/** What the table of commands says that there is: all flags of each, and the values of those that have a list of them. */
const FROM_COMMANDS: readonly Case[] = (await loadCommands()).flatMap(({ name, flags }) => [
  { typed: `serin ${name} --`, offers: [...Object.keys(flags).map((flag) => `--${flag}`), "--help"] },
  ...Object.entries(flags).flatMap(([flag, { value }]): Case[] =>
    value?.includes("|") ? [{ typed: `serin ${name} --${flag} `, offers: value.split("|") }] : [],
  ),
])

const folders = (process.env["PATH"] ?? "").split(delimiter)
const isThere = (shell: string): boolean => folders.some((folder) => existsSync(join(folder, shell)))

/** A shell that is missing is a failure where `SERIN_REQUIRE_SERVERS=1` says that everything was installed. */
function missing(shell: string): boolean {
  if (isThere(shell)) return false
  if (process.env["SERIN_REQUIRE_SERVERS"] === "1") throw new Error(`${shell} is not installed`)
  console.warn(`SKIPPED 1: the completion in ${shell}, which is not installed`)
  return true
}

let dir = ""
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "serin-completion-"))
  await mkdir(join(dir, "folder-1"))
  for (const name of ["one-file.tgz", "other-file.tgz"]) await writeFile(join(dir, name), "")
})
afterAll(() => rm(dir, { recursive: true, force: true }))

/** Have a shell of its own complete all that is typed: one process for all cases. Answers a line for each case. */
async function completed(shell: string, args: readonly string[], script: string): Promise<string[]> {
  const { code, out, err } = await bench().serin("completion", shell)
  expect({ code, err }).toEqual({ code: 0, err: "" })
  await writeFile(join(dir, `serin.${shell}`), out)
  await writeFile(join(dir, `try.${shell}`), script)
  const { stdout, stderr } = await run(shell, [...args, `./try.${shell}`], { cwd: dir, timeout: 20_000 })
  expect(stderr).toBe("")
  return stdout.split("\n").slice(0, -1)
}

const sorted = (words: readonly string[]): string[] =>
  words
    .map((word) => word.replace(/\/$/, ""))
    .filter((word) => word !== "")
    .toSorted()

describe("serin completion", () => {
  it("offers in bash each verb, flag, value and path where it may stand, also after `--flag=`", async () => {
    const cases = [...CASES, ...FROM_COMMANDS]
    // As bash splits what is typed: `=` is a word.
    const more: readonly [string[], string[]][] = [
      [["serin", "promote", "--to", "=", "e"], ["end"]],
      [
        ["serin", "promote", "--to", "="],
        ["next", "end"],
      ],
      [["serin", "release", "pack", "--out", "=", "a.tgz", "fold"], ["folder-1"]],
    ]
    const lines = [...cases.map(({ typed }) => typed.split(" ")), ...more.map(([words]) => words)]
    const calls = lines.map((words) => `t ${words.map((word) => `'${word}'`).join(" ")}`)
    const script = `source ./serin.bash
t() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _serin; printf '%s ' "\${COMPREPLY[@]}"; echo; }
${calls.join("\n")}\n`
    const offered = await completed("bash", ["--norc"], script)
    const offers = [...cases.map((one) => one.offers), ...more.map(([, words]) => words)]
    expect(offered.map((line, i) => [lines[i]?.join(" "), sorted(line.split(" "))])).toEqual(
      offers.map((words, i) => [lines[i]?.join(" "), sorted(words)]),
    )
  })

  it.skipIf(missing("fish"))("offers the same in fish, and says what each is", async () => {
    const script = `source ./serin.fish\n${CASES.map(({ typed }) => `complete -C '${typed}'; echo .`).join("\n")}\n`
    const blocks = (await completed("fish", ["--no-config"], script)).join("\n").split(/^\.$/m)
    const offered = CASES.map(({ typed }, i) => {
      const lines = blocks[i]?.split("\n") ?? []
      return [typed, sorted(lines.map((line) => line.split("\t")[0] ?? ""))]
    })
    // fish goes on offering paths after the last that is taken.
    const lax = "serin verify one-file.tgz other-f"
    const strict = (typed: string): boolean => typed !== lax
    expect(offered.filter(([typed]) => strict(String(typed)))).toEqual(
      CASES.filter(({ typed }) => strict(typed)).map(({ typed, offers }) => [typed, sorted(offers)]),
    )
    expect(blocks[0]).toContain("promote\tGo to the next stage at once")
  })

  it.skipIf(missing("zsh"))("completes the same in zsh, typed on a terminal", async () => {
    const unique = CASES.filter(({ offers }) => offers.length === 1)
    const script = `zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'autoload -U compinit; compinit -u -D; source ./serin.zsh; setopt no_list_beep'
zpty -w z 'dump() { print -r -- "$BUFFER" >> typed; BUFFER= }; zle -N dump; bindkey "^Xd" dump'
${unique.map(({ typed }) => `zpty -w -n z '${typed}'$'\\t\\x18d'`).join("\n")}
zpty -w z exit
while zpty -r z chunk; do done
cat typed
`
    const typed = await completed("zsh", ["-f"], script)
    expect(typed.map((line) => line.replace(/[=/ ]+$/, ""))).toEqual(
      unique.map((one) => `${one.typed.slice(0, one.typed.lastIndexOf(" "))} ${one.offers[0]}`),
    )
  })

  it("names the shells that there are", async () => {
    expect((await bench().serin("completion")).err).toContain("SHELL is missing: bash, zsh or fish")
    expect((await bench().serin("completion", "zshell")).err).toContain(
      'SHELL must be bash or zsh or fish, got "zshell"',
    )
  })
})
