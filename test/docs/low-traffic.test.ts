import { beforeEach, describe, expect, it } from "vitest"
import { parsePage } from "./markdown.js"
import { readPage, tableRows, writtenTable } from "./pages.js"
import { useBench } from "../cli/harness.js"
import { formatSpan } from "../../src/operate/format.js"

const PAGE = "guide/low-traffic.md"
const bench = useBench()

interface Planned {
  readonly likelyMs: number | null
  readonly stages: readonly {
    readonly weightBp: number
    readonly leave: { readonly likely: { readonly sessions: number; readonly ms: number } }
    readonly criteria: readonly {
      readonly criterion: string
      readonly detect: readonly { readonly effect: number; readonly likely: { readonly ms: number } }[]
    }[]
  }[]
  readonly warnings: readonly { readonly stage: number; readonly criterion: string }[]
}

let starter = ""
beforeEach(async () => {
  await bench().serin("init")
  starter = await bench().read("safety/rollout.yaml")
})

/** What `serin plan` says of a rollout file, at so many sessions an hour. Each effect that it looks for takes its time. */
async function planned(yaml: string, perHour: number, ...flags: string[]): Promise<Planned> {
  await bench().write("safety/rollout.yaml", yaml)
  const traffic = ["--sessions-per-minute", String(perHour / 60), ...flags]
  const { code, doc } = await bench().json("plan", "--effects", "1", ...traffic)
  expect(code).toBe(0)
  return doc as unknown as Planned
}

const row = (...cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`
const span = (ms: number | null | undefined): string => (ms == null ? "never" : formatSpan(ms))
const sessions = (plan: Planned, stage: number): string =>
  (plan.stages[stage]?.leave.likely.sessions ?? Infinity).toLocaleString("en-US")

/** After how long a canary that is worse by `effect` is stopped in shadow. */
function stopped({ stages }: Planned, criterion: string, effect: number): string {
  const { detect = [] } = stages[0]?.criteria.find((one) => one.criterion === criterion) ?? {}
  return span(detect.find((one) => one.effect === effect)?.likely.ms)
}

/** The starter's file with one line of it changed. */
function changed(from: string, to: string): string {
  if (!starter.includes(from)) throw new Error(`what serin init writes has no ${from}`)
  return starter.replace(from, to)
}

describe(`docs/${PAGE}, as serin plan has it`, () => {
  it("says what the file of serin init takes at each traffic", async () => {
    const rows: string[] = []
    for (const perHour of [1, 10, 50]) {
      const plan = await planned(starter, perHour, "--effects", "0.1,1")
      const [shadow, first] = plan.stages
      const found = [1, 0.1].map((effect) => stopped(plan, "newly_denied_rate_max", effect))
      rows.push(
        row(perHour, span(shadow?.leave.likely.ms), span(first?.leave.likely.ms), span(plan.likelyMs), ...found),
      )
    }
    const head =
      "| sessions an hour | left shadow | left the first 5 % | promoted | in shadow, a canary that denies everything is stopped after | one that denies 10 % more calls |"
    expect(writtenTable(PAGE, head, rows)).toEqual(rows)
  })

  it("says what each change is worth at ten sessions an hour", async () => {
    const fewer = changed("newly_allowed_rate_max: 0 ", "newly_allowed_rate_max: 0.01 ").replaceAll(
      /(?<=(?:escalate_rate_delta|error_rate_delta|latency_p99_delta)_max: )\S+/g,
      "{ max: $&, mode: notify }",
    )
    const changes: readonly (readonly [string, string, ...string[]])[] = [
      ["none", starter],
      ["`stages: [25, 100]`", changed("traffic_percentage: 5", "stages: [25, 100]")],
      ["`stages: [50, 100]`", changed("traffic_percentage: 5", "stages: [50, 100]")],
      ["`min_sessions: 20`", changed("# min_sessions: 50", "min_sessions: 20")],
      ["`newly_allowed_rate_max: 0.01`", changed("newly_allowed_rate_max: 0 ", "newly_allowed_rate_max: 0.01 ")],
      ["and errors, escalations, p99 with `mode: notify`", fewer],
      ['`shadow: { period: "2h", sample: 10 }`', changed('period: "2h"', 'period: "2h", sample: 10')],
      ["none, with 3 calls a session", starter, "--calls-per-session", "3"],
    ]
    const rows: string[] = []
    for (const [name, yaml, ...flags] of changes) {
      const plan = await planned(yaml, 10, ...flags)
      rows.push(row(name, sessions(plan, 0), sessions(plan, 1), span(plan.likelyMs)))
    }
    const head = "| change | sessions in shadow | in the first stage that serves | promoted after |"
    expect(writtenTable(PAGE, head, rows)).toEqual(rows)
  })

  it("says what its own file takes", async () => {
    const [yaml] = parsePage(readPage(PAGE)).blocks.filter(({ language }) => language === "yaml")
    const rows: string[] = []
    for (const perHour of [1, 10, 50]) {
      const plan = await planned(yaml?.code ?? "", perHour)
      const late = plan.warnings.filter(({ stage }) => stage === 0).map(({ criterion }) => `\`${criterion}\``)
      const left = span(plan.stages[0]?.leave.likely.ms)
      rows.push(row(perHour, left, span(plan.likelyMs), late.join(", ") || "none"))
    }
    const head = "| sessions an hour | left shadow | promoted | limits that the shadow's 2 days do not show |"
    expect(writtenTable(PAGE, head, rows)).toEqual(rows)
  })

  it("names the sizes below which nothing is said as the reference does", () => {
    const guards = tableRows(readPage("reference/verdicts.md"))
    expect(guards).toContainEqual(["pairs", "5 sessions, 2 cohorts", "50 sessions"])
    expect(guards).toContainEqual(["p99, in addition", "1,000 stable and 50 canary durations", "the same"])
    const { text } = readPage(PAGE)
    expect(text).toContain("pairs of fewer than 5 sessions, nothing passes on fewer than 50")
    expect(text).toContain("before 1,000 durations of stable")
  })
})
