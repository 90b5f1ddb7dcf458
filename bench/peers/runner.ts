// Runs one side, for main.ts: a process that does nothing else. It answers one question at a time.
import process from "node:process"
import { collect, cpuNsSince, garbage, garbageOfTurns, quantile, roundOf, roundOfTurns } from "../measure.js"
import { CALLS } from "./app.js"
import { check } from "./check.js"
import { SIDES } from "./sides.js"

/** What main.ts may ask. */
export type Question = "check" | "warm" | "round" | "garbage" | "tail" | "heap" | "end"

/** Decisions go through so many sessions in turn. */
const SESSIONS = 1024
/** Where something goes on after the answer, each session is new and ends after so many calls, which is how many of one are compared. */
const CALLS_EACH = 20
/** More than a guard remembers: by the time that an id comes again, its session is new. */
const SHORT_SESSIONS = 65_536
const BURST = 5000
const SINGLES = 20_000
const INSTANCES = 50

const info = SIDES.find(({ name }) => name === process.argv[2])
if (info === undefined) throw new Error(`no side is called ${process.argv[2]}`)
const open = await info.open()
const { side } = open
const { settle } = side
const sessions = Array.from({ length: settle === undefined ? SESSIONS : SHORT_SESSIONS }, (_, i) =>
  side.session(`session-${i}`),
)
const stay = settle === undefined ? 1 : CALLS_EACH
let isAsync = false
let sink = 0
let next = 0

const decide = () => {
  next += 1
  return sessions[Math.floor(next / stay) & (sessions.length - 1)]!(CALLS[next & 7]!)
}
const turn = async (): Promise<void> => {
  if ((await decide()) === "allow") sink++
}
const batch = (n: number): void => {
  for (let i = 0; i < n; i++) if (decide() === "allow") sink++
}
/** Decisions, and then all that they left to do. */
const burst = async (n: number): Promise<void> => {
  batch(n)
  await settle?.()
}

let round: () => number | Promise<number> = () => Number.NaN

/** Warm up, and find how a round is timed: what answers at once is called as its callers do, anything else is waited for. */
async function warm(): Promise<void> {
  isAsync = decide() instanceof Promise
  if (settle === undefined) round = isAsync ? await roundOfTurns(turn) : roundOf(batch)
  else {
    round = async () => {
      const before = process.cpuUsage()
      await burst(BURST)
      return cpuNsSince(before) / BURST
    }
    for (let i = 0; i < 20; i++) await round()
  }
}

async function garbageOfOne(): Promise<number> {
  if (settle !== undefined) return (await garbageOfTurns(() => burst(BURST), 1)) / BURST
  return isAsync ? garbageOfTurns(turn) : garbage(batch)
}

/** p99.9 of single decisions, ns of the clock on the wall: from the question until the answer is there. */
async function tail(): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < SINGLES; i++) {
    const before = performance.now()
    const answer = decide()
    if (isAsync) await answer
    times.push((performance.now() - before) * 1e6)
  }
  await settle?.()
  return quantile(times, 0.999)
}

/** Bytes of one more guard or client: on the heap, and in arrays outside of it. */
async function heap(): Promise<readonly [heap: number, arrays: number]> {
  const kept: unknown[] = [await side.another()]
  const before = await memory()
  for (let i = 0; i < INSTANCES; i++) kept.push(await side.another())
  const after = await memory()
  if (kept.length !== INSTANCES + 1) throw new Error("nothing was made")
  return [(after.heapUsed - before.heapUsed) / INSTANCES, (after.arrayBuffers - before.arrayBuffers) / INSTANCES]
}

async function memory(): Promise<NodeJS.MemoryUsage> {
  for (let i = 0; i < 4; i++) {
    collect()
    await new Promise(setImmediate)
  }
  return process.memoryUsage()
}

async function answer(question: Question): Promise<unknown> {
  switch (question) {
    case "check":
      return check(open, info!.name)
    case "warm":
      return warm()
    case "round":
      return round()
    case "garbage":
      return garbageOfOne()
    case "tail":
      return tail()
    case "heap":
      return heap()
    case "end":
      if (sink === 0) throw new Error("nothing was decided")
      return side.close()
  }
}

// Nobody asks any more.
process.on("disconnect", () => process.exit(0))
process.on("message", (question: Question) => {
  answer(question).then(
    (value) => {
      process.send!({ value: value ?? null }, () => {
        if (question === "end") process.exit(0)
      })
    },
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.send!({ value: "ready" })
