import { fork } from "node:child_process"
import { availableParallelism } from "node:os"
import { text } from "node:stream/consumers"
import { parseArgs } from "node:util"
import type { Criterion, CriterionName } from "serin"
import { cpuNsSince } from "../measure.js"
import { guardedRollout } from "./guarded.js"
import { AT_LIMIT, BASE, BEYOND, CRITERIA, DRIFT, P99_AT_LIMIT, RAMP, RATES, SESSIONS } from "./points.js"
import { breachMinute, minutesAt, passed, passMinute, quantile, stopped } from "./outcomes.js"
import { randomOf } from "./random.js"
import { RIVALS } from "./rivals.js"
import { rollout, serin, type Method, type Outcome } from "./rollout.js"
import { slowShare, type World } from "./world.js"

const { values: options } = parseArgs({
  options: {
    runs: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
})
if (options.help) {
  console.log(
    "npm run bench:verdicts -- [--runs 100] [--seed 1] [--quick] [--only healthy,limit,pass,beyond,drift,busy,rivals,guard]\n\n" +
      "Simulates rollouts and prints how often, and how soon, they are stopped. Ends with 1 when a promise is broken.\n" +
      "--quick  fewer runs and points; the promises are held to what so few runs can tell",
  )
  process.exit(0)
}
const SEED = Number(options.seed)
const RUNS = options.quick ? 30 : Number(options.runs)
const broken: string[] = []

const sections: Readonly<Record<string, () => Promise<void> | void>> = {
  healthy,
  limit,
  pass,
  beyond,
  drift,
  busy,
  rivals,
  guard,
}
const chosen = options.only?.split(",") ?? Object.keys(sections)
for (const name of chosen) {
  if (sections[name] === undefined)
    throw new RangeError(`--only: no section "${name}": ${Object.keys(sections).join()}`)
}
console.log(
  `seeds from ${SEED} on, ${RUNS} runs a line where nothing else is said; 5 % allowed; percent with 95 % interval`,
)
if (chosen.length > 1) {
  await eachByItself(chosen)
  process.exit()
}
for (const name of chosen) {
  const before = process.cpuUsage()
  await sections[name]!()
  console.error(`${name}: ${(cpuNsSince(before) / 1e9).toFixed(0)} s of CPU time`)
}
for (const promise of broken) console.log(`BROKEN: ${promise}`)
process.exit(broken.length > 0 ? 1 : 0)

/** Run each section in a process of its own, as many at a time as there are cores, and print what they say in their order. */
async function eachByItself(names: readonly string[]): Promise<void> {
  const shared = ["--runs", options.runs, "--seed", options.seed, ...(options.quick ? ["--quick"] : [])]
  const said: Promise<string>[] = []
  const next = names.entries()
  const lane = async (): Promise<void> => {
    for (const [i, name] of next) {
      const child = fork(process.argv[1]!, [...shared, "--only", name], { stdio: ["ignore", "pipe", "inherit", "ipc"] })
      const ended = new Promise<number | null>((resolve) => child.once("exit", resolve))
      said[i] = text(child.stdout!)
      // With 1 ends what broke a promise, and what threw.
      if ((await ended) !== 0) process.exitCode = 1
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, lane))
  for (const words of said) console.log((await words).split("\n").slice(1).join("\n").trimEnd())
}

/** Equal releases but for 0.5 % of calls flipped either way: at every traffic and share. */
function healthy(): void {
  heading("Healthy: stopped falsely", ["sessions/min", "share", "minutes", "runs", "judged by both", "served only"])
  for (const sessionsPerMinute of options.quick ? [30] : [1, 30]) {
    for (const weightBp of [100, 500, 1000]) {
      const minutes = options.quick ? 30 : sessionsPerMinute === 1 ? 240 : 120
      const world = { ...BASE, sessionsPerMinute, minutes, ramp: [{ minute: 0, weightBp }], timed: true }
      const [paired, served] = [true, false].map((shadow) => stopped(repeat({ ...world, shadow }, RUNS)))
      promise(
        paired!.low <= 0.01,
        `${sessionsPerMinute}/min, ${weightBp / 100} %, both: ${paired!.text} of healthy ones`,
      )
      promise(served!.low <= 0.05, `${sessionsPerMinute}/min, ${weightBp / 100} %: ${served!.text} of healthy ones`)
      row([sessionsPerMinute, `${weightBp / 100} %`, minutes, RUNS, paired!.text, served!.text])
    }
  }
  if (options.quick) return
  // With nothing else to spend the rate on.
  const p99 = CRITERIA.filter(({ name }) => name === "latency_p99_delta_max")
  for (const [name, sessions] of Object.entries(SESSIONS).filter((_, i) => i === 0 || i > 2)) {
    const [paired, served] = [true, false].map((shadow) =>
      stopped(repeatWith({ ...BASE, ...sessions, minutes: 120, timed: true, shadow }, RUNS, (w) => serin(w, p99))),
    )
    promise(paired!.low <= 0.01 && served!.low <= 0.05, `p99 alone, ${name}: ${paired!.text}, ${served!.text}`)
    row([30, `5 %, p99 alone, ${name}`, 120, RUNS, paired!.text, served!.text])
  }
}

/** Exactly at a limit, where the chance of a false stop is largest; and how often that is said to pass. */
function limit(): void {
  heading("At a limit: stopped falsely, and passed falsely", [
    "effect",
    "sessions",
    "judged by both",
    "passed",
    "served only",
    "passed",
  ])
  const kinds = Object.entries(SESSIONS).slice(0, options.quick ? 1 : undefined)
  const point = (name: string, of: string, world: World, criteria: readonly Criterion[], watched: CriterionName[]) => {
    const cells = [true, false].flatMap((shadow) => {
      const runs = repeatWith({ ...world, shadow }, RUNS, (w) => serin(w, criteria, watched))
      const [stops, passes] = [stopped(runs), passed(runs)]
      promise(stops.low <= 0.05, `${name}, ${of}, ${shadow ? "both" : "served"}: stopped ${stops.text}`)
      promise(passes.low <= 0.05, `${name}, ${of}, ${shadow ? "both" : "served"}: passed ${passes.text}`)
      return [stops.text, passes.text]
    })
    row([name, of, ...cells])
  }
  for (const [name, effect] of Object.entries(AT_LIMIT)) {
    const watched: CriterionName[] = effect.deny === undefined ? ["error_rate_delta_max"] : ["deny_rate_delta_max"]
    for (const [of, sessions] of name === "both at once" ? kinds.slice(0, 1) : kinds) {
      point(name, of, { ...BASE, ...sessions, minutes: options.quick ? 30 : 120, effect }, CRITERIA, watched)
    }
  }
  if (options.quick) return
  const p99 = CRITERIA.filter(({ name }) => name === "latency_p99_delta_max")
  for (const [name, effect] of Object.entries(P99_AT_LIMIT)) {
    const share = slowShare({ ...BASE, effect }, 50, randomOf(SEED))
    promise(Math.abs(share - 0.01) < 0.001, `"${name}" is at the limit of p99, and not at ${share}`)
    for (const [of, sessions] of kinds.filter((_, i) => i === 0 || i > 2)) {
      const world = { ...BASE, ...sessions, minutes: 120, effect, timed: true }
      point(`p99 +50 ms: ${name}`, of, world, p99, ["latency_p99_delta_max"])
    }
  }
  const half = { ...BASE, minutes: 60, effect: { deny: 0.02 }, ramp: [{ minute: 0, weightBp: 5000 }] }
  point("+2 pp denied, share 50 %", "correlation 0.1", half, CRITERIA, ["deny_rate_delta_max"])
}

/** How soon a healthy canary is known to be within its limits. */
function pass(): void {
  heading("Healthy: minutes until within limits, 30/min, judged by both", ["criteria", "half", "nine of ten"])
  for (const [name, timed, watched] of [
    ["errors and denials", false, RATES],
    ["all three", true, CRITERIA.map((one) => one.name)],
  ] as const) {
    const minutes = repeatWith({ ...BASE, minutes: 60, timed }, RUNS, (w) => serin(w, CRITERIA, watched), true).map(
      passMinute,
    )
    // A few runs tell the median to about a fifth.
    promise(quantile(minutes, 0.5) <= (options.quick ? 12 : 10), `a healthy canary is within ${name} in 10 min`)
    row([name, minutesAt(minutes, 0.5), minutesAt(minutes, 0.9)])
  }
}

/** How soon harm is found at 30 sessions a minute and 5 %. */
function beyond(): void {
  const what = ["effect", "both: half", "nine of ten", "canary calls", "served only: found", "half", "canary calls"]
  heading("Beyond a limit, 30/min, share 5 %: minutes until stopped", what)
  for (const { name, effect, minutes, most, mostCalls, timed = false } of BEYOND) {
    const world = { ...BASE, effect, timed }
    const both = repeat({ ...world, minutes: minutes.shadow }, RUNS)
    const times = both.map(breachMinute)
    const calls = quantile(
      both.map(({ canaryCalls }) => canaryCalls),
      0.5,
    )
    // A few runs tell the median to about a third.
    const leeway = options.quick ? 1.4 : 1
    promise(most === undefined || quantile(times, 0.5) <= most * leeway, `${name} is found in ${most} min`)
    promise(mostCalls === undefined || calls <= mostCalls, `${name} is found within ${mostCalls} canary calls`)
    const cells = [name, minutesAt(times, 0.5), minutesAt(times, 0.9), calls]
    if (options.quick) {
      row([...cells, "", "", ""])
      continue
    }
    const alone = repeat({ ...world, minutes: minutes.served, shadow: false }, Math.min(RUNS, 100))
    const served = quantile(
      alone.map(({ canaryCalls }) => canaryCalls),
      0.5,
    )
    row([...cells, stopped(alone).text, minutesAt(alone.map(breachMinute), 0.5), served])
  }
}

/** Traffic that drifts and breaks under a ramp. */
function drift(): void {
  heading("Ramp 1, 5, 25, 50 % in two hours, drift and an outage of both arms", [
    "effect",
    "judged by both",
    "served only",
  ])
  const runs = Math.min(RUNS, 100)
  for (const [name, effect] of Object.entries({ none: {}, "+2 pp denied": { deny: 0.02 } })) {
    const cells = [true, false].map((shadow) => {
      const found = stopped(repeat({ ...BASE, ...RAMP, ...DRIFT, effect, shadow }, runs))
      promise(found.low <= 0.05, `${name} under drift and ramp: ${found.text}`)
      return found.text
    })
    row([`${name} (${runs} runs)`, ...cells])
  }
}

/** A thousand sessions a minute. */
function busy(): void {
  if (options.quick) return
  const runs = Math.min(RUNS, 60)
  heading(`1,000 sessions/min, ${runs} runs`, [
    "share",
    "healthy, 15 min",
    "at limit, 15 min",
    "+5 pp: half",
    "+3 pp: half",
  ])
  for (const weightBp of [100, 500, 1000]) {
    const world = { ...BASE, sessionsPerMinute: 1000, minutes: 15, ramp: [{ minute: 0, weightBp }] }
    const [calm, edge] = [{}, { deny: 0.02 }].map((effect) => stopped(repeat({ ...world, effect }, runs)))
    promise(calm!.low <= 0.01 && edge!.low <= 0.05, `1,000/min at ${weightBp / 100} %: ${calm!.text}, ${edge!.text}`)
    const [five, three] = [0.05, 0.03].map((deny) => repeat({ ...world, effect: { deny } }, 20).map(breachMinute))
    row([`${weightBp / 100} %`, calm!.text, edge!.text, minutesAt(five!, 0.5), minutesAt(three!, 0.5)])
  }
}

/** The same deny rates judged in other ways, on served sessions: speed is worth nothing where healthy ones are stopped. */
function rivals(): void {
  const runs = Math.min(RUNS, 100)
  heading(`Other methods on the deny rate, served sessions, 4 h, ${runs} runs: stopped`, [
    "method",
    "healthy",
    "at the limit",
    "+5 pp",
    "half in",
  ])
  const deny = CRITERIA.filter(({ name }) => name === "deny_rate_delta_max")
  const world = { ...BASE, minutes: options.quick ? 60 : 240, shadow: false }
  const methods: Record<string, (world: World) => Method> = {
    "serin, served only": (w) => serin(w, deny),
    ...Object.fromEntries(Object.entries(RIVALS).map(([name, make]) => [name, () => make(0.02)])),
  }
  for (const [name, make] of Object.entries(methods)) {
    const cells = [{}, { deny: 0.02 }, { deny: 0.05 }].map((effect) => repeatWith({ ...world, effect }, runs, make))
    row([name, ...cells.map((runs) => stopped(runs).text), minutesAt(cells[2]!.map(breachMinute), 0.5)])
  }
}

/** One point again, call by call through `createGuard()`. */
async function guard(): Promise<void> {
  heading("The same sessions call by call through createGuard(), 30/min, share 5 %, judged by both", [
    "effect",
    "runs",
    "stopped",
    "half in",
    "the same by counts: half in",
  ])
  const runs = options.quick ? 6 : 20
  for (const name of ["denies all", "+5 pp denied"]) {
    const { effect, minutes } = BEYOND.find((point) => point.name === name)!
    const world = { ...BASE, effect, minutes: minutes.shadow }
    const found: Outcome[] = []
    for (let i = 0; i < runs; i++) found.push(await guardedRollout(world, SEED + i, CRITERIA))
    const counted = minutesAt(repeat(world, runs).map(breachMinute), 0.5)
    promise(
      found.every(({ breachMinute }) => breachMinute !== null),
      `${name} is found through the guard`,
    )
    row([name, runs, stopped(found).text, minutesAt(found.map(breachMinute), 0.5), counted])
  }
}

function repeat(world: World, runs: number, watched?: readonly CriterionName[]): Outcome[] {
  return repeatWith(world, runs, (w) => serin(w, CRITERIA, watched))
}

function repeatWith(world: World, runs: number, method: (world: World) => Method, stopAtPass = false): Outcome[] {
  return Array.from({ length: runs }, (_, i) => rollout(world, SEED + i, method(world), stopAtPass))
}

function promise(kept: boolean, what: string): void {
  if (!kept) broken.push(what)
}

function heading(title: string, columns: readonly string[]): void {
  console.log(`\n**${title}**\n\n| ${columns.join(" | ")} |\n|${columns.map(() => "---|").join("")}`)
}

function row(cells: readonly (string | number)[]): void {
  console.log(`| ${cells.join(" | ")} |`)
}
