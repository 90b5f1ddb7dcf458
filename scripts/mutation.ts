// Mutation test of src/analysis: every inequality, constant, operator and condition is changed, one at a time, and the fast tests
// of the folder must notice. `npm run mutation` for all, `npm run mutation -- rates trip` for some files, with what survived.
import { readdirSync } from "node:fs"
import { basename, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import * as fc from "fast-check"
import { EQUIVALENT } from "./mutation/equivalent.js"
import { modules, type Switch } from "./mutation/modules.js"
import type { Mutant } from "./mutation/mutants.js"
import { declaring, within, type Declared } from "./mutation/tests.js"

const root = fileURLToPath(new URL("..", import.meta.url))
const FOLDER = "src/analysis"
const TESTS = "test/analysis"
/** Simulations: seconds each, and what they find is a rate, not a number. */
const SLOW = /false-alarms\.test|is within a factor|in the median|is wrong in at most its share/

/** What one mutant may cost: the shortest tests come first, and those that no longer fit are left out, unless `--slow` asks for all. */
const BUDGET_MS = process.argv.includes("--slow") ? Infinity : 2000

interface Timed extends Declared {
  readonly file: string
  readonly ms: number
}

/** The mutant that is none. */
const UNCHANGED = -1

const wanted = process.argv.slice(2).filter((name) => name !== "--slow")
const state: Switch = { on: UNCHANGED, hit: undefined }
const isMutated = (file: string): boolean =>
  file.startsWith(`${FOLDER}/`) && (wanted.length === 0 || wanted.includes(basename(file, ".ts")))
const project = modules(root, isMutated, state)
const files = readdirSync(join(root, TESTS)).filter((name) => name.endsWith(".test.ts") && !SLOW.test(name))
const paths = files.map((name) => join(root, TESTS, name))
for (const path of paths) await project.load(path)
// What no test imports counts as well, and is never reached.
for (const name of readdirSync(join(root, FOLDER))) await project.load(join(root, FOLDER, name))
fc.configureGlobal({ seed: 1, endOnFailure: true })

const covering = await cover()
if (await isKilled(UNCHANGED)) throw new Error("a test fails at its second run as the code stands")
const counts = new Map<string, { killed: number; survived: number; equivalent: number }>()
const startedAt = performance.now()
for (const mutant of project.mutants) {
  const count = counts.get(mutant.file) ?? { killed: 0, survived: 0, equivalent: 0 }
  counts.set(mutant.file, count)
  if (await isKilled(mutant.id)) count.killed++
  else if (isEquivalent(mutant)) count.equivalent++
  else {
    count.survived++
    say(mutant)
  }
}
report()

/** Run every test once as the code stands: which mutants it reaches, and how long it takes. */
async function cover(): Promise<Map<number, Timed[]>> {
  const reached = new Map<number, Timed[]>()
  const all: Timed[] = []
  for (const file of paths) {
    let hits = new Set<number>()
    state.hit = (first, count) => {
      for (let id = first; id < first + count; id++) hits.add(id)
    }
    const declared: Declared[] = []
    project.evaluate(
      file,
      declaring((test) => declared.push(test)),
    )
    const atImport = hits
    for (const test of declared) {
      if (SLOW.test(test.name)) continue
      hits = new Set(atImport)
      const before = process.cpuUsage()
      try {
        await test.run()
      } catch (error) {
        throw new Error(`${relative(root, file)}: "${test.name}" fails as the code stands`, { cause: error })
      }
      const timed = { ...test, file, ms: process.cpuUsage(before).user / 1000 }
      all.push(timed)
      for (const id of hits) reached.set(id, [...(reached.get(id) ?? []), timed])
    }
  }
  state.hit = undefined
  reached.set(UNCHANGED, all)
  for (const [id, tests] of reached) {
    let spent = 0
    tests.sort((one, other) => one.ms - other.ms)
    reached.set(
      id,
      tests.filter(({ ms }) => (spent += ms) <= BUDGET_MS),
    )
  }
  return reached
}

async function isKilled(id: number): Promise<boolean> {
  state.on = id
  try {
    const tests = covering.get(id) ?? []
    const fresh = new Map<string, Map<string, Declared>>()
    for (const { file, name } of tests) {
      const declared = fresh.get(file) ?? new Map<string, Declared>()
      if (!fresh.has(file)) {
        fresh.set(file, declared)
        within(() =>
          project.evaluate(
            file,
            declaring((test) => declared.set(test.name, test)),
          ),
        )
      }
      await within(() => declared.get(name)?.run())
    }
    return false
  } catch {
    return true
  } finally {
    state.on = UNCHANGED
  }
}

function isEquivalent({ file, source, to }: Mutant): boolean {
  return EQUIVALENT.some((known) => file.endsWith(`/${known.file}`) && known.source === source && known.to.includes(to))
}

function say({ id, file, line, source, from, to }: Mutant): void {
  console.log(`${covering.has(id) ? "survived" : "not reached"} ${file}:${line}  ${from}  →  ${to}\n    ${source}`)
}

function report(): void {
  const sum = { killed: 0, survived: 0, equivalent: 0 }
  const tell = (name: string, { killed, survived, equivalent }: typeof sum): void => {
    const score = ((100 * killed) / Math.max(1, killed + survived)).toFixed(1)
    console.log(
      `${name.padEnd(24)} ${score.padStart(6)} %  ${killed} of ${killed + survived}  (${equivalent} equivalent)`,
    )
  }
  for (const [file, count] of counts) {
    for (const key of ["killed", "survived", "equivalent"] as const) sum[key] += count[key]
    tell(basename(file), count)
  }
  tell("all", sum)
  console.log(`${Math.round((performance.now() - startedAt) / 1000)} s`)
}
