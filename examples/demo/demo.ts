import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { isSerinError } from "serin"
import { readCalls } from "serin/testing"
import { playAct } from "./act.js"
import { LATENCY } from "./clock.js"
import { ROLLOUT_YAML } from "./files.js"
import { printLine, printRuler, printText, printTitle } from "./print.js"
import { planActs } from "./scenarios.js"

const HELP = `Play recorded agent sessions through two releases of their safety rules, in three acts.

Usage: npm run demo -- [options]

  --calls FILE               recorded calls, JSON lines of { session, tool, input } (default: the sample)
  --seed N                   a whole number; the same seed prints the same (default: 1)
  --sessions-per-minute N    how fast sessions start, 1 to 1000 (default: 30)
  --act 1|2|3                play one act alone
  --help                     print this`

const SAMPLE = fileURLToPath(new URL("calls.jsonl", import.meta.url))

interface Flags {
  readonly calls: string
  readonly seed: number
  readonly sessionsPerMinute: number
  readonly act: number | null
}

/** What is wrong with the command line. */
class UsageError extends Error {}

function readFlags(args: readonly string[]): Flags | "help" {
  const { values } = parse(args)
  if (values.help === true) return "help"
  const whole = (name: string, text: string, least: number, most: number): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (value >= least && value <= most) return value
    throw new UsageError(`--${name} must be a whole number from ${least} to ${most}, got ${text}`)
  }
  return {
    calls: values.calls ?? SAMPLE,
    seed: whole("seed", values.seed ?? "1", 0, Number.MAX_SAFE_INTEGER),
    sessionsPerMinute: whole("sessions-per-minute", values["sessions-per-minute"] ?? "30", 1, 1000),
    act: values.act === undefined ? null : whole("act", values.act, 1, 3),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        calls: { type: "string" },
        seed: { type: "string" },
        "sessions-per-minute": { type: "string" },
        act: { type: "string" },
        help: { type: "boolean" },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

/** Play the acts as the flags say, and print them; answer the exit code. */
export async function demo(args: readonly string[]): Promise<0 | 1> {
  try {
    return await play(args)
  } catch (error) {
    if (error instanceof UsageError) console.error(`${error.message}\n\n${HELP}`)
    else if (isSerinError(error)) console.error(`${error.code}\n${error.message}`)
    else throw error
    return 1
  }
}

async function play(args: readonly string[]): Promise<0 | 1> {
  const flags = readFlags(args)
  if (flags === "help") {
    console.log(HELP)
    return 0
  }
  const started = performance.now()
  const calls = await readCalls(flags.calls)
  const recorded = new Set(calls.map(({ session }) => session)).size
  printText(
    `${calls.length} tool calls of ${recorded} recorded sessions, drawn at random at ${flags.sessionsPerMinute} sessions a ` +
      `simulated minute, seed ${flags.seed}. Latency is simulated (log-normal, median ${LATENCY.medianMs} ms).`,
  )
  printLine()
  for (const line of ROLLOUT_YAML.trimEnd().split("\n")) printLine(`  ${line}`)
  const summary: string[] = []
  let failed = 0
  for (const plan of planActs(calls).filter(({ act }) => flags.act === null || act === flags.act)) {
    if ("missing" in plan) {
      printTitle(plan.act, plan.title)
      printText(`Not played: ${plan.missing}.`)
      summary.push(`act ${plan.act}: not played: ${plan.missing}`)
      failed += 1
      continue
    }
    const outcome = await playAct(plan, { ...flags, calls, onProgress: showProgress(plan.act) })
    clearProgress()
    summary.push(`act ${plan.act}: ${outcome.summary}${outcome.ok ? "" : ` - NOT as it must end`}`)
    if (!outcome.ok) failed += 1
  }
  printRuler()
  for (const line of summary) printText(line)
  console.error(`took ${((performance.now() - started) / 1000).toFixed(1)} s`)
  return failed === 0 ? 0 : 1
}

const showProgress =
  (act: number) =>
  ({ elapsedMs, sessions }: { readonly elapsedMs: number; readonly sessions: number }): void => {
    if (process.stderr.isTTY)
      process.stderr.write(
        `\r\u001b[Kact ${act}: ${Math.floor(elapsedMs / 60_000)} simulated minutes, ${sessions} sessions`,
      )
  }

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\u001b[K")
}
