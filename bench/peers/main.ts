// npm run bench:peers: a canaried decision by serin beside the same by feature flag libraries, in one run.
import { fork, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { existsSync, writeFileSync } from "node:fs"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { HELP, OPTIONS } from "./command.js"
import type { Checked } from "./check.js"
import { installed, needs, plus, readLock, sizeOf, sizeOfPack } from "./install-size.js"
import type { Size } from "./install-size.js"
import { reportOf } from "./report.js"
import type { Measured } from "./report.js"
import type { Question } from "./runner.js"
import { SIDES } from "./sides.js"
import type { SideInfo } from "./sides.js"
import { tablesOf } from "./table.js"

const { values: options } = parseArgs({ options: OPTIONS })
if (options.help) {
  console.log(HELP)
  process.exit(0)
}
const { rounds, slices, imports } = options.quick
  ? { rounds: 9, slices: 3, imports: 3 }
  : { rounds: 41, slices: 9, imports: 7 }

const here = fileURLToPath(new URL(".", import.meta.url))
const root = fileURLToPath(new URL("../..", import.meta.url))
/** What every side's application has, and none is charged for. */
const EVERYONE_HAS = ["@opentelemetry/api", "@opentelemetry/sdk-metrics"]

if (!existsSync(`${here}node_modules`)) {
  const { status } = spawnSync("npm", ["ci", "--prefix", here, "--ignore-scripts", "--no-audit", "--no-fund"], {
    stdio: ["ignore", "ignore", "inherit"],
  })
  if (status !== 0) throw new Error("npm ci --prefix bench/peers failed")
}

interface Runner {
  readonly info: SideInfo
  ask<T>(question: Question): Promise<T>
}

/** A process that runs one side, with room for what decisions leave behind: it favours whoever leaves the most. */
async function start(info: SideInfo): Promise<Runner> {
  const child = fork(`${here}runner.ts`, [info.name], {
    execArgv: [
      "--expose-gc",
      "--min-semi-space-size=64",
      "--max-semi-space-size=64",
      "--no-warnings",
      "--import",
      "tsx",
    ],
  })
  await answerOf(child, info)
  return {
    info,
    ask(question) {
      child.send(question)
      return answerOf(child, info)
    },
  }
}

async function answerOf<T>(child: ChildProcess, { name }: SideInfo): Promise<T> {
  const over = new AbortController()
  const { signal } = over
  try {
    const [first] = (await Promise.race([
      once(child, "message", { signal }),
      once(child, "exit", { signal }).then(([code]) => {
        throw new Error(`${name} ended with ${code}`)
      }),
    ])) as [{ readonly value: T }]
    return first.value
  } finally {
    over.abort()
  }
}

/** CPU time of importing modules in a new process, ms. */
function importMs(specifiers: readonly string[], before: readonly string[]): number {
  const code = `
for (const name of ${JSON.stringify(before)}) await import(name)
const start = process.cpuUsage()
for (const name of ${JSON.stringify(specifiers)}) await import(name)
const { user, system } = process.cpuUsage(start)
process.stdout.write(String((user + system) / 1000))`
  const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", code], {
    cwd: here,
    encoding: "utf8",
  })
  if (status !== 0) throw new Error(`importing ${specifiers.join(", ")} failed`)
  return Number(stdout)
}

function installSizes(): ReadonlyMap<string, Size> {
  const [lock, own] = [readLock(here), readLock(root)]
  const shared = (from: typeof lock) => installed(from, EVERYONE_HAS)
  const without = (folders: ReadonlySet<string>, not: ReadonlySet<string>) =>
    [...folders].filter((folder) => !not.has(folder))
  const serin = plus(sizeOfPack(root), sizeOf(root, without(installed(own, needs(own.packages[""]!)), shared(own))))
  const peers = SIDES.filter(({ is }) => is === "peer").map(
    ({ name, packages }) => [name, sizeOf(here, without(installed(lock, packages), shared(lock)))] as const,
  )
  return new Map([["serin", serin], ...peers])
}

const tell = (what: string): void => console.error(what)

tell("starting each side in a process of its own, and checking that it does what is compared")
const runners: Runner[] = []
for (const info of SIDES) runners.push(await start(info))
const checked = new Map<string, Checked>()
for (const { info, ask } of runners) checked.set(info.name, await ask<Checked>("check"))

/** Ask all, one after another, in turns: in every other round backwards. */
async function inTurns(question: Question, times: number): Promise<ReadonlyMap<string, number[]>> {
  const values = new Map(SIDES.map(({ name }) => [name, [] as number[]]))
  for (let i = 0; i < times; i++) {
    for (const { info, ask } of i % 2 === 0 ? runners : runners.toReversed()) {
      values.get(info.name)!.push(await ask<number>(question))
    }
  }
  return values
}

for (const { ask } of runners) await ask("warm")
tell(`CPU time: ${rounds} rounds`)
const cpu = await inTurns("round", rounds)
tell(`p99.9: ${slices} rounds of 20,000 decisions`)
const tails = await inTurns("tail", slices)
tell("garbage and heap")
const garbage = await inTurns("garbage", 1)
const heaps = new Map<string, readonly [heap: number, arrays: number]>()
for (const { info, ask } of runners) {
  heaps.set(info.name, await ask<readonly [number, number]>("heap"))
  await ask("end")
}
tell(`imports: ${imports} rounds of new processes`)
const importing = SIDES.filter(({ imports }) => imports.length > 0)
const whole = new Map(importing.map(({ name }) => [name, [] as number[]]))
const afterApi = new Map(importing.map(({ name }) => [name, [] as number[]]))
for (let i = 0; i < imports; i++) {
  for (const { name, imports: specifiers } of importing) {
    whole.get(name)!.push(importMs(specifiers, []))
    afterApi.get(name)!.push(importMs(specifiers, ["@opentelemetry/api"]))
  }
}
const sizes = installSizes()

const measured = SIDES.map(({ name, is }): Measured => {
  const [heapBytes, arraysBytes] = heaps.get(name)!
  const install = sizes.get(name)
  const ms = whole.get(name)
  return {
    name,
    is,
    share: checked.get(name)!.share,
    cpuNs: cpu.get(name)!,
    tailNs: tails.get(name)!,
    garbageBytes: garbage.get(name)![0]!,
    heapBytes,
    arraysBytes,
    ...(ms === undefined ? {} : { imports: { ms, afterApiMs: afterApi.get(name)! } }),
    ...(install === undefined ? {} : { install }),
  }
})
const report = reportOf(process.version, measured)
console.log(tablesOf(report))
console.log()
for (const { ours, peer, aim, ratio, isKept } of report.aims) {
  console.log(`${ours} beside ${peer}: ${ratio.toFixed(3)}, aim ${aim} (${isKept ? "kept" : "missed"})`)
}
if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`)
