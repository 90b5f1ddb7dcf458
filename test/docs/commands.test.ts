import { existsSync, readdirSync, readFileSync } from "node:fs"
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { VERBS } from "../../src/cli/commands.js"
import { run } from "../../src/cli/run.js"
import { embed } from "../../src/embed.js"
import { systemClock } from "../../src/model/clock.js"
import { linesOf, logged } from "../disagreements/log.js"
import type { Page } from "./markdown.js"
import { typedOn, type Typed } from "./typed.js"

const root = fileURLToPath(new URL("../..", import.meta.url))
const names = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
const docs = readdirSync(`${root}docs`, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".md"))
const pages: Page[] = [...names, ...docs.map((name) => `docs/${name.replaceAll("\\", "/")}`)].map((path) => {
  return { path, text: readFileSync(root + path, "utf8") }
})
const typed = typedOn(pages)
const of = (program: string) => typed.filter(({ words }) => words[0] === program)
const serin = of("serin").filter(({ words }) => words[1] !== undefined)
const verbOf = ({ words: [, one = "", two = ""] }: Typed): string =>
  VERBS.find(({ name }) => name === `${one} ${two}` || name === one)?.name ?? one

let scratch = ""
let folders = 0
const CALL = "3f1c8a50-9d1e-41"
const TOKEN = "0123456789abcdef0123456789abcdef"
const CALLS = Array.from({ length: 60 }, (_, i) => ({ session: `s${i % 12}`, tool: "get_order", input: { order: i } }))

/** What a reader has by then: what `serin init` writes, what was recorded, and who may do what. */
const FILES: Readonly<Record<string, string>> = {
  "calls.jsonl": CALLS.map((call) => `${JSON.stringify(call)}\n`).join(""),
  "log/decisions.jsonl": linesOf([...logged({ id: CALL, session: "s-118" })]),
  operators: `ana ${TOKEN}\n`,
  tokens: `${TOKEN}\n`,
  "safety/notify.yaml": `channels:\n  - command: { run: ["${process.execPath}", -e, "process.stdin.resume()"] }\n`,
}

/** Addresses and names of the pages, and what they stand for here. */
const STANDS_FOR: readonly (readonly [RegExp, string])[] = [
  [/^(redis|etcds?|https):\/\/(?!prometheus)\S+$/, "safety/state"], // each address is tried in test/cli/stores.test.ts
  [/^\/srv\/serin\/state$/, "safety/state"],
  [/^\/run\/secrets\/serin$/, "tokens"],
  [/^\$\(git rev-parse HEAD\)$/, "0".repeat(40)],
  [/^ID$/, CALL],
]
const FILE_OF: Readonly<Record<string, string>> = {
  "--log": "log/decisions.jsonl",
  "--approval-secret": "tokens",
  "--state-key": "state-key",
  "--calls": "calls.jsonl",
}
/** In place of an hour of the application: sessions of which every other asks for a refund that the canary denies. */
const JUDGED = "(judged)"

/** What is typed before, by what a command begins with: the longest counts. */
const BEFORE: Readonly<Record<string, readonly string[]>> = {
  "": ["init", "start"],
  init: [],
  start: ["init"],
  "start --state-key": [
    "init",
    "keygen state-key",
    "release keygen release-key",
    ...["1.4.0", "1.5.0"].map((version) => `release sign safety/releases/${version} --key release-key`),
  ],
  retry: ["init", "start", "rollback"],
  resume: ["init", "start", "pause"],
  "status --trusted-keys state-key.pub": ["init", "keygen state-key", "start --state-key state-key"],
  "status --trusted-keys old.pub": ["init", "keygen old", "start --state-key old"],
  "…": ["init", "keygen state-key", "start --state-key state-key"],
  sign: ["init", "start", "keygen state-key"],
  "sign --state-key new": ["init", "start", "keygen new"],
  "history --verify --head": ["init", "start", "history --verify --json > noted.json"],
  "diffs --label": ["init", "start", "diffs --log log/decisions.jsonl --draw"],
  "replay --calls calls.jsonl --stable": ["init", "release pack safety/releases/1.5.0 --out dist/1.5.0.tgz"],
  "release sign safety/releases/1.5.0.tgz": [
    "init",
    "release keygen release-key",
    "release pack safety/releases/1.5.0",
  ],
  "release sign": ["init", "release keygen release-key"],
  "release verify": ["init", "release keygen release-key", "release sign safety/releases/1.5.0 --key release-key"],
  "release inspect": ["init", "release pack safety/releases/1.5.0"],
  "release diff": ["init", "release pack safety/releases/1.5.0"],
  "explain --out": ["init", "start", JUDGED],
  verify: ["init", "start", JUDGED, "explain --out verdict.json"],
}

/** Where a command says something else than that all is well, and rightly so. */
const OTHERWISE: Readonly<Record<string, { readonly code: number; readonly says: RegExp }>> = {
  status: { code: 12, says: /shadow/ },
  "…": { code: 12, says: /shadow/ },
  approve: { code: 1, says: /this stage asks for no approval/ },
}
/** They change nothing, and can be typed in one folder one after the other. */
const READ_ONLY = [
  "validate",
  "plan",
  "replay",
  "calibrate",
  "status",
  "watch",
  "notify",
  "schema",
  "help",
  "--version",
  "serve",
]

/** They go on until they are told to stop, which they are once they have said something. */
const UNTIL_TOLD = ["watch", "serve", "controller"]

async function judge(cwd: string): Promise<void> {
  const guard = await embed({ rollout: join(cwd, "safety/rollout.yaml"), releases: join(cwd, "safety/releases") })
  for (let n = 0; n < 80; n++) {
    const input = { amount: n % 2 === 0 ? 700 : 40 }
    for (const action of ["get_order", "issue_refund", "get_order"]) guard.session(`c-${n}`).evaluate({ action, input })
  }
  await guard.idle()
  await guard.judge()
  await guard.close()
}

interface Ran {
  readonly code: number
  readonly said: string
}

async function type(cwd: string, words: readonly string[], into: string | null = null): Promise<Ran> {
  let [out, err] = ["", ""]
  const stop = new AbortController()
  const goesOn = UNTIL_TOLD.includes(words[0] ?? "")
  const write = (text: string): void => {
    out += text
    if (goesOn) setImmediate(() => stop.abort())
  }
  const code = await run([...words, ...besides(words)], {
    stdout: { write },
    stderr: { write: (text) => (err += text) },
    cwd,
    env: { USER: "ana" },
    clock: systemClock,
    signal: stop.signal,
    isTTY: false,
    stderrIsTTY: false,
    columns: 80,
  })
  if (into !== null) await writeFile(join(cwd, into), out)
  return { code, said: out + err }
}

/** What is typed besides: the port of the pages may be taken on this machine, and a hundred rollouts are played in a minute. */
function besides(words: readonly string[]): readonly string[] {
  if (words[0] === "serve" || words.includes("--serve")) return ["--port", "0"]
  return words[0] === "calibrate" ? ["--runs", "1", "--sessions", "50"] : []
}

/** The words as they are typed here. */
function here(words: readonly string[]): readonly string[] {
  return words.map((word, i) => {
    const file = FILE_OF[words[i - 1] ?? ""]
    if (word === "FILE" || (word === "…" && file !== undefined)) return file ?? word
    if (word === "…" && i === 0) return "status"
    return STANDS_FOR.find(([pattern]) => pattern.test(word))?.[1] ?? word
  })
}

/** The entry of a table whose key the command begins with; the longest counts. */
function entryFor<T>(table: Readonly<Record<string, T>>, words: readonly string[]): T | undefined {
  const line = `${words.join(" ")} `
  const [key] = Object.keys(table)
    .filter((one) => one === "" || line.startsWith(`${one} `))
    .toSorted((a, b) => b.length - a.length)
  return key === undefined ? undefined : table[key]
}

/** What two command lines have in common that differ in a number, or in words for people. */
const inGeneral = ({ words }: Typed): string =>
  words
    .map((word, i) => (["--reason", "--note"].includes(words[i - 1] ?? "") ? "…" : word.replace(/^[\d.]+$/, "N")))
    .join(" ")

/** Folders by what was typed in them, so that each is made once. */
const made = new Map<string, string>()

async function folder(): Promise<string> {
  const cwd = join(scratch, `${made.size}-${folders++}`)
  await mkdir(cwd)
  return cwd
}

/** Give the folder in which these were typed, one after the other. */
async function sceneAfter(before: readonly string[]): Promise<string> {
  const name = before.join("\n")
  const known = made.get(name)
  if (known !== undefined) return known
  const cwd = await folder()
  if (before.length === 0) {
    for (const [path, text] of Object.entries(FILES)) {
      await mkdir(dirname(join(cwd, path)), { recursive: true })
      await writeFile(join(cwd, path), text)
    }
  } else {
    await cp(await sceneAfter(before.slice(0, -1)), cwd, { recursive: true })
    const line = before.at(-1) ?? ""
    if (line === JUDGED) await judge(cwd)
    else {
      const [{ words, into }] = typedOn([{ path: "before", text: `\`\`\`sh\nserin ${line}\n\`\`\`` }]) as [Typed]
      const { code, said } = await type(cwd, words.slice(1), into)
      if (code !== 0) throw new Error(`serin ${line} ended with ${code}: ${said}`)
    }
  }
  made.set(name, cwd)
  return cwd
}

/** Type a command where its reader is by then, and say what was wrong with what it answered. */
async function tried(one: Typed): Promise<string[]> {
  const {
    words: [, ...words],
    into,
    where,
    line,
  } = one
  const scene = await sceneAfter(entryFor(BEFORE, words) ?? []).catch((error: Error) => error)
  if (scene instanceof Error) return [`${where}: before \`${line}\`: ${scene.message}`]
  const cwd = READ_ONLY.includes(verbOf(one)) ? scene : await folder()
  if (cwd !== scene) await cp(scene, cwd, { recursive: true })
  const { code, said } = await type(cwd, here(words), into)
  const expected = entryFor(OTHERWISE, words) ?? { code: 0, says: /\S/ }
  return code === expected.code && expected.says.test(said) ? [] : [`${where}: \`${line}\` ended with ${code}: ${said}`]
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "serin-typed-"))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

describe("every command of the pages", () => {
  it("is found: in blocks, in consoles and in sentences", () => {
    expect(serin.length).toBeGreaterThan(80)
    expect(new Set(serin.map(verbOf)).size).toBeGreaterThan(25)
  })

  it("does what the page says, as it stands there", { timeout: 120_000 }, async () => {
    const wrong: string[] = []
    const told = new Map(serin.filter(({ isName }) => !isName).map((one) => [inGeneral(one), one]))
    for (const one of told.values()) wrong.push(...(await tried(one)))
    expect(wrong).toEqual([])
  })

  it("that is only named is a verb, which is typed at the packed program", () => {
    const story = readFileSync(`${root}test/package/verbs.test.ts`, "utf8")
    const unknown = serin.filter((one) => {
      const verb = verbOf(one)
      if (verb === "help") return false
      return !VERBS.some(({ name }) => name === verb) || !new RegExp(`type: "${verb}[ "]`).test(story)
    })
    const named = unknown.filter(({ isName }) => isName)
    expect(named.map(({ where, line }) => `${where}: ${line}`)).toEqual([])
  })
})

describe("every npm command of the pages", () => {
  const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
    readonly name: string
    readonly scripts: Readonly<Record<string, string>>
    readonly peerDependencies: Readonly<Record<string, string>>
  }

  /** Who runs a script; `by hand`: what it measures takes minutes, or it fetches a program, and why no test can. */
  const RUN_BY: Readonly<Record<string, string>> = {
    test: ".ci/run",
    build: "scripts/test.ts",
    api: "test/scripts/api.test.ts",
    demo: "test/examples/examples.test.ts",
    chaos: "test/bench/chaos.test.ts",
    "bench:peers": "test/bench/peers.test.ts",
    "bench:verdicts": "test/bench/verdicts.test.ts",
    "docs:adapters": "test/docs/adapters.test.ts",
    bench: "by hand: it measures for minutes",
    "bench:kill": "by hand: it measures for minutes",
    mutation: "by hand: it changes the sources for half an hour",
    changeset: "by hand: it asks a person, and fetches its program",
    unused: "by hand: it fetches its program",
  }

  it("names a script that a test runs, or that is for people, with flags that it takes", () => {
    const wrong = of("npm").flatMap(({ where, line, words: [, verb, ...rest] }) => {
      const script = verb === "run" ? rest.find((word) => !word.startsWith("-")) : verb === "test" ? "test" : undefined
      if (script === undefined) return []
      const by = RUN_BY[script]
      const text = manifest.scripts[script]
      if (by === undefined || text === undefined) return [`${where}: \`${line}\`: nobody runs it`]
      if (!by.startsWith("by hand: ") && !existsSync(root + by)) return [`${where}: ${by} is gone`]
      const [program] = text.match(/[\w/-]+\.ts$/) ?? []
      const source = program === undefined ? "" : readFileSync(root + program, "utf8")
      const flags = rest.filter((word) => word !== "--" && word !== "--silent" && word.startsWith("--"))
      const unknown = flags.filter((flag) => !new RegExp(`\\b${flag.slice(2)}\\b`).test(source))
      return unknown.map((flag) => `${where}: \`${line}\`: ${script} has no ${flag}`)
    })
    expect(wrong).toEqual([])
  })

  it("installs this package, or one that it works with, in a version that it works with", () => {
    const known = [
      "rotating-file-stream",
      "@opentelemetry/exporter-prometheus",
      ...Object.keys(manifest.peerDependencies),
    ]
    const wrong = of("npm").flatMap(({ where, line, words: [, verb, ...packages] }) => {
      if (verb === "ci") return []
      if (verb !== "install") return verb === "run" || verb === "test" ? [] : [`${where}: \`${line}\` is run by nobody`]
      return packages.flatMap((text) => {
        // An alias brings two versions of somebody's library side by side.
        const [, name = "", version] = /^(?:[\w-]+@npm:)?(@?[^@]+)(?:@(.+))?$/.exec(text) ?? []
        const range = manifest.peerDependencies[name]
        if (text.includes("@npm:") || name === manifest.name) return []
        if (!known.includes(name)) return [`${where}: \`${line}\`: serin does not work with ${name}`]
        const fits = version === undefined || range === undefined || range.includes(version)
        return fits ? [] : [`${where}: \`${line}\`: serin works with ${name} ${range}`]
      })
    })
    expect(wrong).toEqual([])
  })

  it("runs no other program by npx than serin and the project's own tests", () => {
    const others = of("npx").filter(({ words }) => words[1] !== "vitest" || !existsSync(root + (words[3] ?? "")))
    expect(others.map(({ where, line }) => `${where}: ${line}`)).toEqual([])
  })
})
