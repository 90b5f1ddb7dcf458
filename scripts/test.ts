// Runs every check of the project, or those named (`npm test -- unit`), says how long each took, and ends with
// `N passed, N failed`: each test counts as one, and so does each other step.
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"
import { runStep } from "./run-step.js"
import { closingLine, countsOf, failuresOf, type Counts, type VitestReport } from "./test-counts.js"

interface Step {
  readonly name: string
  readonly command: readonly [string, ...string[]]
  /** Where a step of vitest leaves its report; its output is shown as it comes. */
  readonly report?: string
}

const root = fileURLToPath(new URL("..", import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), "serin-test-"))
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }))
const env = { ...process.env, PATH: `${join(root, "node_modules", ".bin")}${delimiter}${process.env["PATH"] ?? ""}` }

const FORMAT: Step = { name: "format", command: ["prettier", "--check", "."] }
const LINT: Step = { name: "lint", command: ["oxlint", "--deny-warnings"] }
const TYPES: Step = { name: "types", command: ["tsc"] }
const PAGE_TYPES: Step = { name: "types of the page", command: ["tsc", "-p", "src/dashboard/page"] }
const BUILD: Step = { name: "build", command: ["tsup"] }
const PUBLINT: Step = { name: "publint", command: ["publint", "--strict"] }
const ATTW: Step = { name: "attw", command: ["attw", "--pack", ".", "--profile", "esm-only"] }

const API: Step = { name: "api", command: ["tsx", "scripts/api-report.ts", "--check"] }

/** Stages one after the other. The lanes of one go on at the same time: what uses one processor alone leaves the others idle. */
const stages: readonly (readonly (readonly Step[])[])[] = [
  [
    [FORMAT, LINT, BUILD],
    [TYPES, PAGE_TYPES],
  ],
  [[vitest("unit")]],
  [[PUBLINT, ATTW], [API]],
  [[vitest("package", "--mode", "package")]],
]
const steps = stages.flat(2)

const names = process.argv.slice(2)
const unknown = names.filter((name) => !steps.some((step) => step.name === name))
if (unknown.length > 0) throw new RangeError(`no step "${unknown.join(", ")}": ${steps.map((s) => s.name).join(", ")}`)

console.log(`node ${process.version}`)
const results: { readonly step: Step; readonly counts: Counts }[] = []
const failures: string[] = []
for (const lanes of stages) await Promise.all(lanes.map(runLane))

const sum = (key: keyof Counts): number => results.reduce((total, { counts }) => total + counts[key], 0)
const failed = results.filter(({ counts }) => counts.failed > 0).map(({ step }) => step.name)
if (failed.length > 0) {
  // Once more, at the end: what a long log shows last is what is read.
  console.log(`\nfailed: ${failed.join(", ")}`)
  for (const failure of failures) console.log(`✗ ${failure}`)
}
process.exitCode = failed.length === 0 ? 0 : 1
console.log(`\n${closingLine({ passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") })}`)

async function runLane(lane: readonly Step[]): Promise<void> {
  for (const step of lane) {
    if (names.length === 0 || names.includes(step.name)) results.push({ step, counts: await runAndTell(step) })
  }
}

function vitest(name: string, ...args: readonly string[]): Step {
  const report = join(scratch, `${name}.json`)
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`]
  return { name, command: ["vitest", "run", ...reporters, ...args], report }
}

async function runAndTell({ name, command, report }: Step): Promise<Counts> {
  if (report !== undefined) console.log(`${name} …`)
  const startedAt = performance.now()
  const { error, output } = await runStep(command, { cwd: root, env, show: report !== undefined })
  const ok = error === null
  const counts =
    report === undefined ? { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0 } : countsOf(readReport(report), ok)

  const label = report === undefined ? `${name} … ` : `${name}: ${closingLine(counts)} … `
  const seconds = `${((performance.now() - startedAt) / 1000).toFixed(1)} s`
  console.log(
    counts.failed === 0 ? `${label}ok (${seconds})` : `${label}FAILED (${seconds}): ${command[0]} ${error ?? ""}`,
  )
  if (counts.failed > 0) {
    if (output !== "") console.log(output.replace(/^/gm, "  | "))
    const known = report === undefined ? [] : failuresOf(readReport(report), root)
    failures.push(...(known.length > 0 ? known : [`${name}: ${error ?? "failed"}`]))
  }
  return counts
}

/** Null when the runner ended before it wrote one. */
function readReport(path: string): VitestReport | null {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as VitestReport
  } catch {
    return null
  }
}
