import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { embed } from "../../src/embed.js"
import type { NotifyChannel } from "../../src/notify/notify-channel.js"
import { memoryStore } from "../../src/stores/memory.js"
import { NAME, useBench } from "../cli/harness.js"

const bench = useBench()
const releases = new Map(
  ["1.4.0", "1.5.0"].map((version) => [version, { version, policy: { evaluate: () => "allow" as const } }]),
)

async function open(notify: readonly NotifyChannel[], more: object = {}) {
  await bench().write(
    "safety/rollout.yaml",
    `rollout: ${NAME}\nstable: 1.4.0\ncanary:\n  release: 1.5.0\n  acceptance_criteria: { newly_denied_rate_max: 0.05 }\n  observation_period: 10m\n`,
  )
  const rollout = join(bench().cwd, "safety/rollout.yaml")
  const { clock } = bench()
  return embed({ rollout, releases, store: memoryStore(), start: true, clock, notify, ...more })
}

describe("embed({ notify })", () => {
  it("tells what happens, with the link to the dashboard, and says in its report what could not be told", async () => {
    const told: string[] = []
    const links: unknown[] = []
    const guard = await open(
      [
        {
          name: "ops",
          async send({ kind, links: found }) {
            told.push(kind)
            links.push(found.dashboard)
            await Promise.resolve()
          },
        },
        { name: "gone", send: () => Promise.reject(new Error("nobody home")) },
      ],
      { dashboardUrl: "https://serin.internal/x" },
    )
    await guard.judge()
    await bench().clock.settle()
    await guard.act({
      type: "kill",
      position: "stable",
      actor: { kind: "human", id: "ana" },
      reason: "it denies refunds",
    })
    await guard.judge()
    await bench().clock.settle()
    expect(told).toEqual(["standing", "killed"])
    expect(links).toEqual(["https://serin.internal/x", "https://serin.internal/x"])
    expect((await guard.judge()).problem).toMatch(/^gone is not told of refund-agent\/1\/\d+: nobody home$/)
    await guard.close()
  })

  it.each([
    [{ notify: {} }, /notify must be a list of channels, got object; write notify: \[slack/],
    [{ notify: [{ name: "ops" }] }, /notify\[0\] must have the methods send/],
    [
      { notify: [1, 2].map(() => ({ name: "ops", send: () => Promise.resolve() })) },
      /two channels of notify are called ops/,
    ],
    [{ dashboardUrl: "javascript:alert(1)", notify: [] }, /dashboardUrl must be an address like https/],
  ])("refuses %o", async (wrong, message) => {
    await expect(open([], wrong)).rejects.toThrow(message)
  })
})
