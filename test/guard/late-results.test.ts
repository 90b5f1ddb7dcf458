import { describe, expect, it } from "vitest"
import { createGuard } from "../../src/guard.js"
import type { Evaluation, ScanReport } from "../../src/release/ports.js"
import type { MetricsReading } from "../../src/telemetry/reading.js"
import { harness, idOn, stateWith } from "./harness.js"

const call = { action: "refund" }

/** An asynchronous guard whose policies and scanners answer when told, and what it has counted. */
function slow() {
  const { state, clock } = harness({}, stateWith())
  const settle: { resolve(answer: unknown): void; reject(error: unknown): void }[] = []
  const later = <T>() => new Promise<T>((resolve, reject) => settle.push({ resolve: resolve as () => void, reject }))
  const release = (version: string) => ({
    version,
    policy: { evaluate: () => later<Evaluation>() },
    scanners: [{ name: "eye", scan: () => later<ScanReport>() }],
  })
  let read: () => MetricsReading = () => ({ counters: [], histograms: [], gauges: [] })
  const guard = createGuard({
    rollout: "demo",
    async: true,
    state,
    clock,
    timeoutMs: 50,
    releases: new Map(["1.0.0", "2.0.0"].map((version) => [version, release(version)])),
    metrics: { register: (reading) => ((read = reading), () => {}) },
  })
  const late = () =>
    Object.fromEntries(
      read()
        .counters.find(({ name }) => name === "serin.late_results")!
        .points.map(({ attributes, value }) => [attributes["serin.arm"], value]),
    )
  return { guard, clock, settle, later, late }
}

describe("an answer after the time limit", () => {
  it("changes nothing that was decided, and is counted by arm", async () => {
    const { guard, clock, settle, late } = slow()
    const decision = guard.session(idOn(guard, "stable")).evaluate(call)
    clock.advance(50)
    expect(await decision).toMatchObject({ outcome: "deny", source: "posture", errorType: "timeout" })
    expect(late()).toEqual({})
    settle[0]!.resolve("allow")
    await clock.settle()
    expect(await decision).toMatchObject({ outcome: "deny", source: "posture" })
    expect(late()).toEqual({ stable: 1 })
  })

  it("is counted for scanners and for wrapped functions too", async () => {
    const { guard, clock, settle, later, late } = slow()
    const scan = guard.session(idOn(guard, "stable")).scan("text", { direction: "input" })
    clock.advance(50)
    expect(await scan).toMatchObject({ result: "blocked" })
    const evaluate = guard.wrap(
      (_: string) => Promise.resolve<"allow">("allow"),
      (_: string) => later<"allow">(),
      { session: (id) => id, outcome: (answer) => answer },
    )
    const answer = evaluate(idOn(guard, "canary"))
    clock.advance(50)
    expect(await answer).toBe("allow")
    for (const { resolve } of settle) resolve("allow")
    await clock.settle()
    expect(late()).toEqual({ stable: 1, canary: 1 })
  })

  it("is none when the policy was told to stop and says so", async () => {
    const { guard, clock, settle, late } = slow()
    const decision = guard.session(idOn(guard, "stable")).evaluate(call)
    clock.advance(50)
    await decision
    settle[0]!.reject(new Error("aborted"))
    await clock.settle()
    expect(late()).toEqual({})
  })

  it("is none when it came in time", async () => {
    const { guard, clock, settle, late } = slow()
    const decision = guard.session(idOn(guard, "stable")).evaluate(call)
    clock.advance(49)
    settle[0]!.resolve("allow")
    expect((await decision).outcome).toBe("allow")
    clock.advance(1)
    expect(late()).toEqual({})
  })
})
