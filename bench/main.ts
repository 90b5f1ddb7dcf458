import { parseArgs } from "node:util"

// What is measured is loaded when it is asked for, so that nothing else is in the process.

interface Options {
  readonly quick: boolean
  readonly rounds: number
  readonly minutes: number
  readonly json: string | undefined
}

interface Subject {
  readonly says: string
  /** Answers the exit code. */
  run(options: Options): Promise<number | void>
}

const SUBJECTS: Readonly<Record<string, Subject>> = {
  scale: {
    says: "what grows with sessions, rollouts, evaluations, processes and calls a second",
    run: async ({ rounds, quick }) => (await import("./scale.js")).scale(rounds, quick),
  },
  soak: {
    says: "whether memory is flat over --minutes of everything at once; 1 where it is not",
    run: async ({ minutes }) => (await import("./soak.js")).soak(minutes),
  },
  replay: {
    says: "calls a second of a replay",
    run: async ({ quick }) => (await import("./replay.js")).tellReplay(quick ? 50_000 : 200_000),
  },
  analysis: {
    says: "judging and merging evidence",
    run: async ({ quick }) => (await import("./compiled.js")).tellCosts("analysis", quick),
  },
  engines: {
    says: "a decision by each engine",
    run: async ({ rounds }) => (await import("./engines.js")).tellEngines(rounds),
  },
  adapters: {
    says: "a guarded turn of an agent by each adapter",
    run: async ({ rounds }) => (await import("./adapters.js")).tellAdapters(rounds),
  },
  fleet: {
    says: "what 1,000 publishing processes cost their leader",
    run: async ({ quick }) => (await import("./compiled.js")).tellCosts("fleet", quick),
  },
  dashboard: {
    says: "what 200 viewers of the dashboard cost who serves it",
    run: async ({ quick }) => (await import("./viewing.js")).tellViewers(quick ? 2 : 6),
  },
  imports: {
    says: "how long each entry takes to be imported",
    run: async ({ quick }) => (await import("./imports.js")).tellImports(quick ? 3 : 9),
  },
}

const names = Object.keys(SUBJECTS)
const { values } = parseArgs({
  options: {
    json: { type: "string" },
    quick: { type: "boolean", default: false },
    minutes: { type: "string", default: "10" },
    help: { type: "boolean", default: false },
    ...Object.fromEntries(names.map((name) => [name, { type: "boolean" } as const])),
  },
})
const { quick, json } = values
const asked = names.filter((name) => (values as Readonly<Record<string, unknown>>)[name] === true)
const minutes = Number(values.minutes)
if (asked.length > 1) throw new RangeError(`one subject at a time, got --${asked.join(" --")}`)
if (!(minutes > 0)) throw new RangeError(`--minutes must be a number above 0, got ${values.minutes}`)

if (values.help) {
  const lines = Object.entries(SUBJECTS).map(([name, { says }]) => [`--${name}`, `${says}, and nothing else`])
  const all = [
    ["--json FILE", "write [{ name, ratio, low, high, oursNs, theirsNs }]"],
    ["--quick", "fewer rounds"],
    ["--minutes N", "of a soak (default: 10)"],
    ...lines,
  ]
  console.log(`npm run bench -- [--json FILE] [--quick] [--${names.join(" | --")}]\n`)
  for (const [flag = "", text = ""] of all) console.log(`${flag.padEnd(12)} ${text}`)
} else {
  const options = { quick, json, minutes, rounds: quick ? 9 : 41 }
  const [name = ""] = asked
  const run =
    SUBJECTS[name]?.run ?? (async () => (await import("./decisions.js")).decisions(options.rounds, quick, json))
  process.exitCode = (await run(options)) ?? 0
}
process.exit()
