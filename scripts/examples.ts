// Runs every example of the folder, two at a time, each for a minute at most, and ends with `N passed, N failed`.
import { readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { runStep } from "./run-step.js"
import { closingLine } from "./test-counts.js"

const LIMIT_MS = 60_000
const AT_ONCE = 2

const root = fileURLToPath(new URL("..", import.meta.url))
const waiting = readdirSync(new URL("../examples", import.meta.url)).filter((name) => name.endsWith(".ts"))
const failed: string[] = []
let passed = 0

async function runNext(): Promise<void> {
  const name = waiting.shift()
  if (name === undefined) return
  const startedAt = performance.now()
  const command = ["npx", "--no-install", "tsx", "--tsconfig", "tsconfig.dist.json", `examples/${name}`] as const
  const { error, output } = await runStep(command, { cwd: root, env: process.env, show: false, limitMs: LIMIT_MS })
  const seconds = `${((performance.now() - startedAt) / 1000).toFixed(1)} s`
  console.log(`--- examples/${name} (${seconds})\n${output}`)
  if (error === null) passed++
  else failed.push(`examples/${name}: ${error}\n${output.split("\n").slice(-20).join("\n")}`)
  await runNext()
}

await Promise.all(Array.from({ length: AT_ONCE }, runNext))
if (failed.length > 0) {
  console.log(`\nfailed: ${failed.length} examples`)
  for (const failure of failed) console.log(`✗ ${failure}`)
}
process.exitCode = failed.length === 0 ? 0 : 1
console.log(`\n${closingLine({ passed, failed: failed.length, skipped: 0 })}`)
