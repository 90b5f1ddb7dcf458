import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, expect } from "vitest"
import { loadCommands } from "../../src/cli/commands.js"
import type { Io } from "../../src/cli/io.js"
import { run } from "../../src/cli/run.js"
import { documentsOf } from "../../src/cli/schema.js"
import { reportKey, stateKey } from "../../src/controller/keys.js"
import type { Report } from "../../src/controller/report.js"
import { act, readState } from "../../src/controller/verbs.js"
import type { Verdict } from "../../src/model/verdict.js"
import type { RolloutEvent } from "../../src/rollout/event.js"
import type { RolloutState } from "../../src/rollout/state.js"
import type { StateStore } from "../../src/rollout/store.js"
import { fileStore } from "../../src/stores/file.js"
import { fakeClock, type FakeClock } from "../../src/testing/fake-clock.js"

export const T0 = Date.UTC(2026, 0, 1)
export const NAME = "refund-agent"

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** A temporary directory in which `serin` runs in this process, on a clock that moves only when told. */
export interface Bench {
  readonly cwd: string
  readonly clock: FakeClock
  readonly store: StateStore
  serin(...argv: string[]): Promise<Ran>
  serinWith(io: Partial<Io>, ...argv: string[]): Promise<Ran>
  /** Run and read stdout as the one JSON document that it must be. */
  json(...argv: string[]): Promise<{ code: number; doc: Record<string, unknown> }>
  write(path: string, text: string): Promise<void>
  read(path: string): Promise<string>
  state(): Promise<RolloutState>
  /** Do what the judging process does. */
  act(event: RolloutEvent): Promise<RolloutState>
  report(report: Partial<Report>): Promise<void>
  /** Write the next revision of the state as it stands, whatever it is. */
  writeRaw(text: string): Promise<void>
}

const DOCUMENTS = documentsOf(await loadCommands())

/** Hold each document that any test has a command write against the schema that is published: no field more, and none less. */
export function expectAnswers(text: string): void {
  for (const line of text.split("\n").filter((one) => one !== "")) {
    const value = JSON.parse(line) as { readonly format?: string }
    const answers = DOCUMENTS.get(value.format ?? "")
    if (answers === undefined)
      throw new Error(`no schema is published of ${line.slice(0, 200)}: give its command \`answers\``)
    // What the schema does not name is left out when it parses.
    expect(answers.schema.parse(value), answers.format).toEqual(value)
  }
}

/** Make a fresh bench for each test of a file. */
export function useBench(): () => Bench {
  let bench: Bench
  beforeEach(async () => {
    bench = createBench(await mkdtemp(join(tmpdir(), "serin-cli-")))
  })
  afterEach(() => rm(bench.cwd, { recursive: true, force: true }))
  return () => bench
}

function createBench(cwd: string): Bench {
  const clock = fakeClock(T0)
  const store = fileStore({ dir: join(cwd, "safety/state") })

  async function put(key: string, text: string): Promise<void> {
    const current = await store.get(key)
    const written = await store.compareAndSet(key, current?.revision ?? 0, text)
    if (!written.ok) throw new Error(`${key} was written by another`)
  }

  async function serinWith(io: Partial<Io>, ...argv: string[]): Promise<Ran> {
    let out = ""
    let err = ""
    let told = ""
    const stdout = io.stdout ?? { write: (text: string) => (out += text) }
    const code = await run(argv, {
      stderr: { write: (text) => (err += text) },
      cwd,
      env: { USER: "ana" },
      clock,
      signal: new AbortController().signal,
      isTTY: false,
      stderrIsTTY: false,
      columns: 80,
      ...io,
      stdout: { write: (text) => ((told += text), stdout.write(text)) },
    })
    if (argv.includes("--json")) expectAnswers(told)
    return { code, out, err }
  }

  const bench: Bench = {
    cwd,
    clock,
    store,
    serinWith,
    serin: (...argv) => serinWith({}, ...argv),
    async json(...argv) {
      const { code, out } = await bench.serin(...argv, "--json")
      return { code, doc: JSON.parse(out) as Record<string, unknown> }
    },
    async write(path, text) {
      await mkdir(dirname(join(cwd, path)), { recursive: true })
      await writeFile(join(cwd, path), text)
    },
    read: (path) => readFile(join(cwd, path), "utf8"),
    async state() {
      const state = await readState(store, NAME)
      if (state === null) throw new Error("there is no state")
      return state
    },
    act: (event) => act(store, NAME, event, () => clock.now()),
    async report(report) {
      const { revision, generation } = await bench.state()
      const base = {
        format: "serin/report/1",
        rollout: NAME,
        revision,
        generation,
        at: clock.now(),
        diffs: [],
      } as const
      await put(reportKey(NAME), JSON.stringify({ ...base, verdict: null, ...report }))
    },
    writeRaw: (text) => put(stateKey(NAME), text),
  }
  return bench
}

/** Move to the next stage with a verdict that passes, after the period of this one. */
export async function advance(bench: Bench, verdict: Verdict): Promise<RolloutState> {
  const { ramp, spec } = await bench.state()
  const entry = ramp.at(-1)
  bench.clock.setWall((entry?.at ?? 0) + (spec.stages[entry?.stage ?? 0]?.periodMs ?? 0))
  return bench.act({ type: "tick", actor: { kind: "controller", id: "host/1" }, verdict })
}
