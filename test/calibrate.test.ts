import { beforeAll, describe, expect, it } from "vitest"
import { calibrate, type CalibrateOptions, type RecordedCall } from "../src/calibrate.js"
import { functionEngine } from "../src/engines/function.js"
import type { Call } from "../src/model/call.js"
import type { Evaluation } from "../src/release/ports.js"
import { parseSpec } from "../src/rollout/spec.js"
import { readCalls } from "../src/testing/calls.js"
import { sfc32 } from "../src/testing/sfc32.js"
import { sharedIsThere, sharedPath, skipNote } from "./shared.js"

const SPEC = parseSpec(
  `
rollout: demo
stable: "1"
canary:
  release: "2"
  traffic_percentage: 25
  observation_period: 4h
  acceptance_criteria:
    deny_rate_delta_max: 0.02
    error_rate_delta_max: 0.01
    newly_denied_rate_max: 0.001
    latency_p99_delta_max: 50ms
`,
  { path: "rollout.yaml" },
)
const OPTIONS: CalibrateOptions = { spec: SPEC, runs: 20, sessions: 200, sessionsPerMinute: 5 }

const release = (evaluate: (call: Call) => Evaluation) => ({ version: "1", policy: functionEngine(evaluate) })

let calls: RecordedCall[] = []
beforeAll(async () => void (calls = await readCalls("examples/demo/calls.jsonl")))

/** Denies a tool for good, and what it is not sure of at random. */
const policy = (unsure: number, seed = 1) => {
  const random = sfc32(seed)
  return release((call) => {
    if (random() < unsure) return random() < 0.5 ? "deny" : "allow"
    return call.action.startsWith("update_") || call.action === "calculate" ? "deny" : "allow"
  })
}

describe("calibrate", { timeout: 120_000 }, () => {
  it("measures sizes, rates and correlation, and finds a release that is sure of itself to be so", async () => {
    const { measured, aa, falseAlarms } = await calibrate(calls, policy(0), OPTIONS)
    expect(measured).toMatchObject({ calls: 341, sessions: 60, churn: { asked: 2, calls: 0, rate: 0 } })
    expect(measured.callsPerSession).toBeCloseTo(341 / 60, 10)
    expect(measured.kish).toBeGreaterThanOrEqual(measured.callsPerSession)
    const denied = calls.filter(({ tool }) => tool.startsWith("update_") || tool === "calculate").length
    expect(measured.rates.deny).toBeCloseTo(denied / calls.length, 10)
    expect(measured.rates.allow + measured.rates.deny).toBeCloseTo(1, 10)
    expect(measured.correlation).toBeGreaterThanOrEqual(0)
    expect(aa).toMatchObject({ runs: 20, breached: 0, breachedBy: {} })
    expect(aa.estimates.deny_rate_delta_max).toBeCloseTo(0, 12)
    expect(falseAlarms.rate).toBeLessThanOrEqual(falseAlarms.allowed)
  })

  it("finds that calls of a session go together, where they do", async () => {
    const sessions = Array.from({ length: 200 }, (_, i) => `s${i}`)
    const made = sessions.flatMap((session) =>
      Array.from({ length: 6 }, () => ({ session, tool: "x", input: session })),
    )
    const whole = await calibrate(
      made,
      release(({ input }) => (Number(String(input).slice(1)) % 5 === 0 ? "deny" : "allow")),
      { ...OPTIONS, runs: 1, sessions: 50 },
    )
    expect(whole.measured.correlation).toBeCloseTo(1, 10)
    const random = sfc32(3)
    const apart = await calibrate(
      made,
      release(() => (random() < 0.2 ? "deny" : "allow")),
      { ...OPTIONS, runs: 1, sessions: 50 },
    )
    expect(apart.measured.correlation).toBeLessThan(0.08)
  })

  it("measures how often a release disagrees with itself, and takes it out of the budget of new denials", async () => {
    const { measured, margins } = await calibrate(calls, policy(0.1), OPTIONS)
    // Two draws of which each is unsure in 10 %: they differ in about 0.1 · 2 · ½ of calls.
    expect(measured.churn.rate).toBeGreaterThan(0.04)
    expect(measured.churn.rate).toBeLessThan(0.16)
    expect(measured.churn.atMost).toBeGreaterThan(measured.churn.rate)
    const newly = margins.find(({ criterion }) => criterion === "newly_denied_rate_max")
    expect(newly?.suggested).toBeGreaterThan(measured.churn.rate / 2)
    expect(newly?.reasons.join()).toMatch(/disagreed with itself on .* of calls/)
    expect(newly?.reasons.join()).toContain("0.001 is too tight")
  })

  it("finds the false alarms of a budget that churn alone exceeds", async () => {
    const { aa, falseAlarms } = await calibrate(calls, policy(0.3), OPTIONS)
    expect(aa.breachedBy.newly_denied_rate_max).toBeGreaterThan(15)
    expect(falseAlarms.rate).toBeGreaterThan(falseAlarms.allowed)
    expect(falseAlarms.atMost).toBeGreaterThanOrEqual(falseAlarms.rate)
  })

  it("keeps within the allowed rate for differences, however unsure the release is", async () => {
    const spec = { ...SPEC, criteria: SPEC.criteria.filter(({ name }) => name.startsWith("deny")) }
    const { aa } = await calibrate(calls, policy(0.3), { ...OPTIONS, spec, runs: 40 })
    expect(aa.breached).toBeLessThanOrEqual(2)
    expect(aa.estimates.deny_rate_delta_max).toBeGreaterThan(0)
  })

  it("suggests limits that the traffic can show: wider ones for less of it", async () => {
    const suggested = async (sessionsPerMinute: number): Promise<number> => {
      const { margins } = await calibrate(calls, policy(0), { ...OPTIONS, runs: 1, sessions: 50, sessionsPerMinute })
      return margins.find(({ criterion }) => criterion === "deny_rate_delta_max")?.suggested ?? Infinity
    }
    expect(await suggested(0.5)).toBeGreaterThan(await suggested(50))
  })

  it("takes a throw and a nonsense answer for an error, as a guard does, and waits for promises", async () => {
    const answers = [
      () => "deny",
      () => {
        throw new Error("no")
      },
      () => "perhaps",
      () => Promise.resolve({ outcome: "escalate" }),
    ]
    let n = 0
    const odd = { version: "1", policy: { evaluate: () => answers[n++ % 4]!() as Evaluation } }
    const { measured } = await calibrate(calls.slice(0, 40), odd, { ...OPTIONS, runs: 1, sessions: 50 })
    expect(measured.rates).toEqual({ allow: 0, deny: 0.25, escalate: 0.25, error: 0.5 })
  })

  it("takes every answer that a guard refuses for an error", async () => {
    const inherited = Object.create({ outcome: "allow" }) as Evaluation
    const answers: unknown[] = [{ outcome: "allow", reason: 42 }, { outcome: "deny", rule: {} }, inherited, "allow"]
    let n = 0
    const odd = { version: "1", policy: { evaluate: () => answers[n++ % 4] as Evaluation } }
    const { measured } = await calibrate(calls.slice(0, 40), odd, { ...OPTIONS, runs: 1, sessions: 50 })
    expect(measured.rates).toEqual({ allow: 0.25, deny: 0, escalate: 0, error: 0.75 })
  })

  it("asks about the whole of a call, as a decision log has it: for whom it is, and on what", async () => {
    const made = calls.slice(0, 40).map((call, i): RecordedCall => {
      return { ...call, resource: "account", principal: { role: i % 4 === 0 ? "guest" : "clerk" } }
    })
    const byRole = release(({ principal, resource }) => {
      return resource === "account" && (principal as { role: string }).role === "clerk" ? "allow" : "deny"
    })
    const { measured } = await calibrate(made, byRole, { ...OPTIONS, runs: 1, sessions: 50 })
    expect(measured.rates).toMatchObject({ allow: 0.75, deny: 0.25, error: 0 })
  })

  it("measures a release that allows nothing, whatever its shares add up to", async () => {
    const of28 = Array.from({ length: 28 }, (_, i): RecordedCall => ({ session: `s${i}`, tool: "x", input: i }))
    const never = release(({ input }) => {
      if (input === 27) throw new Error("no")
      return (input as number) < 9 ? "deny" : "escalate"
    })
    const { measured } = await calibrate(of28, never, { ...OPTIONS, runs: 1, sessions: 50 })
    expect(measured.rates.deny + measured.rates.escalate + measured.rates.error).toBeGreaterThan(1)
  })

  it("can be ended while it waits for an answer that never comes", async () => {
    const never = { version: "1", policy: { evaluate: () => new Promise<Evaluation>(() => {}) } }
    const stop = new AbortController()
    const calibrating = calibrate(calls, never, { ...OPTIONS, signal: stop.signal })
    stop.abort(new Error("that is enough"))
    await expect(calibrating).rejects.toThrow("that is enough")
  })

  it("asks a stateful policy once, and says that its churn is not known", async () => {
    let asked = 0
    const stateful = { version: "1", policy: { stateful: true, evaluate: () => (asked++, "allow" as const) } }
    const { measured, margins } = await calibrate(calls, stateful, { ...OPTIONS, runs: 1, sessions: 50 })
    expect(asked).toBe(calls.length)
    expect(measured.churn.asked).toBe(1)
    expect(margins[0]?.reasons[0]).toContain("not asked twice")
  })

  it("plays the same for the same seed, and can be ended", async () => {
    const one = await calibrate(calls, policy(0.1), { ...OPTIONS, runs: 5, seed: 3 })
    const same = await calibrate(calls, policy(0.1), { ...OPTIONS, runs: 5, seed: 3 })
    expect(same.aa.estimates.deny_rate_delta_max).toBe(one.aa.estimates.deny_rate_delta_max)
    const other = await calibrate(calls, policy(0.1), { ...OPTIONS, runs: 5, seed: 4 })
    expect(other.aa.estimates.deny_rate_delta_max).not.toBe(one.aa.estimates.deny_rate_delta_max)
    const ended = new AbortController()
    const done: number[] = []
    const onProgress = (count: number): void => {
      done.push(count)
      ended.abort(new Error("enough"))
    }
    await expect(calibrate(calls, policy(0), { ...OPTIONS, signal: ended.signal, onProgress })).rejects.toThrow(
      "enough",
    )
    expect(done).toEqual([1])
  })

  it.each<[Partial<CalibrateOptions>, RegExp]>([
    [{ runs: 0 }, /runs/],
    [{ sessions: 10 }, /sessions/],
    [{ seed: -1 }, /seed/],
    [{ sessionsPerMinute: 0 }, /sessionsPerMinute/],
  ])("refuses %o", async (over, message) => {
    await expect(calibrate(calls, policy(0), { ...OPTIONS, ...over })).rejects.toThrow(message)
  })

  it.skipIf(!sharedIsThere)("works on recordings of real sessions", async () => {
    const real = await readCalls(sharedPath("data/tau-airline-toolcalls.jsonl"))
    const { measured, falseAlarms } = await calibrate(real, policy(0.02), {
      ...OPTIONS,
      spec: { ...SPEC, criteria: SPEC.criteria.slice(0, 2) },
    })
    expect(measured.sessions).toBe(182)
    expect(falseAlarms.rate).toBeLessThanOrEqual(0.05)
  })
})

skipNote(1, "calibrate on recordings of real sessions")
