import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { rulesEngine } from "serin/engines/rules"
import { replayCalls } from "serin/replay"
import type { Release } from "serin"
import type { RecordedCall } from "serin/replay"
import { sfc32, streamCalls } from "serin/testing"

const RUNS = 5

/** Tell how many calls a second of CPU time of the whole process, collections included, a replay of `count` calls judges: from a file of JSON lines to the report, and the same from calls that are in memory. */
export async function tellReplay(count: number): Promise<void> {
  console.log(`${count.toLocaleString("en-US")} recorded calls, judged by two releases of ten rules`)
  const dir = await mkdtemp(join(tmpdir(), "serin-bench-"))
  try {
    const calls = callsOf(count)
    const file = join(dir, "calls.jsonl")
    await writeFile(file, calls.map((call) => `${JSON.stringify(call)}\n`).join(""))
    const [stable, canary] = [releaseOf("1", 100), releaseOf("2", 90)]
    const took: Record<string, number[]> = { "from a file": [], "from memory": [] }
    // The first round warms up, and counts: that is what a command of a second is like.
    for (let run = 0; run < RUNS; run++) {
      for (const name in took) {
        const before = process.cpuUsage()
        const { differing } = await replayCalls({
          stable,
          canary,
          calls: name === "from a file" ? streamCalls(file) : calls,
        })
        const { user, system } = process.cpuUsage(before)
        if (differing === 0) throw new Error("the releases were meant to differ")
        took[name]?.push((user + system) / 1e6)
      }
    }
    const rssMb = Math.round(process.memoryUsage().rss / 1e6)
    for (const [name, seconds] of Object.entries(took)) {
      const [first = 0, ...warm] = seconds
      tell(`${name}, first run`, count / first, rssMb)
      tell(`${name}, median of the runs after it`, count / median(warm), rssMb)
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

function tell(name: string, callsPerSecond: number, rssMb: number): void {
  const calls = Math.round(callsPerSecond).toLocaleString("en-US")
  console.log(`${name.padEnd(48)} ${calls.padStart(9)} calls/s  ${rssMb} MB`)
}

/** Ten rules, of which four have conditions; about one call in thirty is answered otherwise by another limit. */
function releaseOf(version: string, limit: number): Release {
  const text = `
rules:
  - { id: read, action: ["get_*", "list_*", "search_*"], effect: allow }
  - { id: own, action: update_order, when: "input.owner == input.user", effect: allow }
  - { id: foreign, action: update_order, effect: deny }
  - { id: close, action: close_account, effect: escalate }
  - { id: large, action: issue_refund, when: "input.amount > ${limit}", effect: deny }
  - { id: old, action: issue_refund, when: "input.days > 60 && input.amount > 20", effect: escalate }
  - { id: refund, action: issue_refund, effect: allow }
  - { id: mail-out, action: send_mail, when: '!input.to.endsWith("@example.com")', effect: escalate }
  - { id: mail, action: send_mail, effect: allow }
  - { id: rest, action: "*", effect: deny }
`
  return { version, policy: rulesEngine().compile([{ path: "rules.yaml", text }]) }
}

/** Sessions of 12 calls, 200 at a time; a line of the file is some 180 bytes long. */
function callsOf(count: number): RecordedCall[] {
  const random = sfc32(1)
  const tools = ["get_order", "search_orders", "issue_refund", "update_order", "send_mail", "get_user", "close_account"]
  return Array.from({ length: count }, (_, i) => {
    const user = `user-${Math.floor(random() * 1000)}`
    return {
      session: `session-${Math.floor(i / 2400)}-${i % 200}`,
      turn: Math.floor((i % 2400) / 200),
      tool: tools[Math.floor(random() * tools.length)]!,
      input: {
        order: `order-${i}`,
        amount: Math.floor(random() * 120),
        days: Math.floor(random() * 90),
        user,
        owner: random() < 0.9 ? user : "somebody-else",
        to: random() < 0.5 ? "a@example.com" : "b@example.net",
        note: "asked for it",
      },
    }
  })
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
