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
const BUDGET_MS = process.argv.includes("--slow") ? Infinity : 800

interface Timed extends Declared {
  readonly file: string
  readonly ms: number
}

const wanted = process.argv.slice(2).filter((name) => name !== "--slow")
const state: Switch = { on: -1, hit: undefined }
const isMutated = (file: string): boolean =>
  file.startsWith(`${FOLDER}/`) && (wanted.length === 0 || wanted.includes(basename(file, ".ts")))
const project = modules(root, isMutated, state)
const files = readdirSync(join(root, TESTS)).filter((name) => name.endsWith(".test.ts") && !SLOW.test(name))
const paths = files.map((name) => join(root, TESTS, name))
for (const path of paths) await project.load(path)
fc.configureGlobal({ seed: 1, endOnFailure: true })

const covering = await cover()
const survivors: Mutant[] = []
const counts = new Map<string, { killed: number; survived: number; equivalent: number }>()
const startedAt = performance.now()
if (process.env.LIST) for (const t of new Set([...covering.values()].flat())) console.error(Math.round(t.ms), t.name)
for (const mutant of project.mutants) {
  const t0 = performance.now()
  const count = counts.get(mutant.file) ?? { killed: 0, survived: 0, equivalent: 0 }
  counts.set(mutant.file, count)
  const kk = await isKilled(mutant)
  if (process.env.TRACE) console.error(Math.round(performance.now() - t0), kk, mutant.file, mutant.line, mutant.from, mutant.to)
  if (kk) count.killed++
  else if (isEquivalent(mutant)) count.equivalent++
  else {
    count.survived++
    survivors.push(mutant)
    const { file, line, source, from, to } = mutant
    console.log(`${covering.has(mutant.id) ? "survived" : "not reached"} ${file}:${line}  ${from}  →  ${to}      | ${source}`)
  }
}
report()

/** Run every test once as the code stands: which mutants it reaches, and how long it takes. */
async function cover(): Promise<Map<number, Timed[]>> {
  const reached = new Map<number, Timed[]>()
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
      const before = performance.now()
      try {
        await test.run()
      } catch (error) {
        throw new Error(`${relative(root, file)}: "${test.name}" fails as the code stands`, { cause: error })
      }
      const timed = { ...test, file, ms: performance.now() - before }
      for (const id of hits) reached.set(id, [...(reached.get(id) ?? []), timed])
    }
  }
  state.hit = undefined
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

async function isKilled({ id }: Mutant): Promise<boolean> {
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
    state.on = -1
  }
}

function isEquivalent({ file, source, to }: Mutant): boolean {
  return EQUIVALENT.some((known) => file.endsWith(`/${known.file}`) && known.source === source && known.to.includes(to))
}

function report(): void {
  for (const { id, file, line, source, from, to } of survivors) {
    console.log(`${covering.has(id) ? "survived" : "not reached"} ${file}:${line}  ${from}  →  ${to}\n    ${source}`)
  }
  const sum = { killed: 0, survived: 0, equivalent: 0 }
  const say = (name: string, { killed, survived, equivalent }: typeof sum): void => {
    const score = ((100 * killed) / Math.max(1, killed + survived)).toFixed(1)
    console.log(
      `${name.padEnd(24)} ${score.padStart(6)} %  ${killed} of ${killed + survived}  (${equivalent} equivalent)`,
    )
  }
  for (const [file, count] of counts) {
    for (const key of ["killed", "survived", "equivalent"] as const) sum[key] += count[key]
    say(basename(file), count)
  }
  say("all", sum)
  console.log(`${Math.round((performance.now() - startedAt) / 1000)} s`)
}
