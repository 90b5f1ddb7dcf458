import { join } from "node:path"
import { beforeEach, describe, expect, it, vi } from "vitest"
import { embed } from "../../src/embed.js"
import { functionEngine } from "../../src/engines/function.js"
import { CRITERIA } from "../../src/model/verdict.js"
import type { Effect } from "../../src/model/decision.js"
import { replayCalls } from "../../src/replay.js"
import { useBench } from "../cli/harness.js"
import { parsePage } from "./markdown.js"
import { readPage, writtenBlock, writtenTable } from "./pages.js"
import { settling } from "./settling.js"

// What is random must be the same each time, for the page shows it.
vi.spyOn(globalThis.crypto, "getRandomValues").mockImplementation((array) => array)

const PAGE = "guide/policy-changes.md"
const bench = useBench()
const files = parsePage(readPage(PAGE)).blocks.filter(({ language }) => language === "yaml")
const [tighten, loosen, both] = files.map(({ code }) => code)

beforeEach(async () => void (await bench().serin("init")))

/** Change the canary's rules, as `serin init` wrote them with a lower limit of refunds. */
async function canaryRules(...changes: readonly (readonly [from: string, to: string])[]): Promise<void> {
  const path = "safety/releases/1.5.0/rules.yaml"
  let text = await bench().read(path)
  for (const [from, to] of changes) {
    expect(text).toContain(from)
    text = text.replaceAll(from, to)
  }
  await bench().write(path, text)
}

/** Have so many sessions ask for refunds of these amounts in turn, and one of a hundred to close an account, and be judged. */
async function play(yaml: string | undefined, sessions: number, amounts: readonly number[]): Promise<void> {
  const { clock, cwd } = bench()
  const { store, settled } = settling(bench().store)
  await bench().write("safety/rollout.yaml", yaml ?? "")
  expect((await bench().serin("start")).code).toBe(0)
  const paths = { rollout: join(cwd, "safety/rollout.yaml"), releases: join(cwd, "safety/releases") }
  const guard = await embed({ ...paths, store, clock })
  const halves = [sessions / 2, sessions]
  for (let n = 0, half = 0; half < halves.length; half++) {
    for (; n < halves[half]!; n++) {
      const session = guard.session(`conversation-${n}`)
      for (const action of [
        "get_order",
        "search_orders",
        "issue_refund",
        n % 100 === 7 ? "close_account" : "get_order",
      ])
        session.evaluate({ action, input: { amount: amounts[n % amounts.length] } })
    }
    await guard.idle()
    await settled()
    clock.setWall(clock.now() + 3_600_000) // no timer goes off: none may wait for an answer while time passes
    await guard.judge()
    await settled()
  }
  await guard.close()
}

async function shows(words: string, after: string): Promise<void> {
  const { out } = await bench().serin(...words.split(" "))
  const code = `$ npx serin ${words}\n${out.trimEnd()}`.replace(/ by \S+\/\d+\/[\da-f]{8},/, " by host/17/5b84c7b5,")
  expect(writtenBlock(PAGE, `$ npx serin ${words}`, code, after)).toBe(code)
}

describe(`docs/${PAGE}`, () => {
  it("says of each pair of answers in which criteria it counts", async () => {
    const criteria = CRITERIA.filter((name) => !/scan|alert|latency|error/.test(name))
    const answers: Effect[] = ["allow", "escalate", "deny"]
    const rows: string[] = []
    for (const of of answers) {
      for (const by of answers.filter((one) => one !== of)) {
        const release = (version: string, effect: Effect) => ({ version, policy: functionEngine(() => effect) })
        const { budgets } = await replayCalls({
          stable: release("1.4.0", of),
          canary: release("1.5.0", by),
          calls: [{ session: "a", tool: "x", input: {} }],
          criteria: criteria.map((name) => ({ name, max: 0.5, mode: "enforce" })),
        })
        const counted = budgets.filter(({ measured }) => (measured ?? 0) > 0).map(({ criterion }) => `\`${criterion}\``)
        rows.push(`| ${of} | ${by} | ${counted.join(", ")} |`)
      }
    }
    expect(writtenTable(PAGE, "| stable | canary | counts in |", rows)).toEqual(rows)
  })

  it("tells a tightening with a slip of the pen by its rules, and stops it at the first call that it newly allows", async () => {
    await canaryRules(["effect: escalate\n    reason: Closing an account needs a person", "effect: allow"])
    await shows("release diff safety/releases/1.4.0 safety/releases/1.5.0", "## Two budgets")
    await play(tighten, 60, [40, 40, 40, 40, 40, 700])
    await shows("explain", "## Tighten")
  })

  it("has a loosening wait for an approval once shadow has shown that it keeps to its budget", async () => {
    await canaryRules(["500", "2000"])
    await play(loosen, 600, [40, 40, 40, 40, 40, 1500])
    await shows("status", "## Loosen: in shadow first")
    expect(await bench().serin("approve", "--reason", "read 40 of them, INC-7")).toMatchObject({ code: 0 })
  })

  it("stops what denies some and allows as many others, of which the delta knows nothing", async () => {
    await canaryRules(["input.amount > 500", "input.amount > 500 && input.amount < 1000"])
    await play(both, 200, [40, 40, 700, 1500])
    await shows("explain", "## Both at once")
  })
})
