import { expect } from "vitest"
import type { Arm, Decision, Scan } from "../../../src/model/decision.js"
import { ARMS, OUTCOMES } from "../../../src/model/decision.js"
import { CAP, Counts, countsOf, inconsistencies } from "./model.js"
import type { Turn } from "./model.js"
import { LIMIT } from "./world.js"
import type { Ask, Asked, Resolution, World } from "./world.js"

const SEVERE = ["flagged", "blocked"]

/** Hold what was served and counted against what was asked; everything has ended. */
export function verify(world: World): void {
  const { asks, asked, watched, mode, guard } = world
  const cells = new Counts()
  const metrics = new Counts()
  const counted: { one: Asked<Decision> | Asked<Scan>; turn: Turn; own: Resolution }[] = []
  const acting = new Set<string>()

  for (const one of asked) {
    const turn = one.turn!
    expect(one.settledAt, `call ${one.n} was answered`).not.toBeNull()
    const served = asks.filter((ask) => ask.n === one.n && ask.served)
    const waits = served.reduce((sum, { limit }) => sum + (limit === Infinity ? 1e9 : limit), 0)
    expect(one.settledAt! - one.at, "answered within its time limits").toBeLessThanOrEqual(
      Math.min(waits, mode === "wrap" ? waits : LIMIT.canary + LIMIT.stable),
    )
    const own = resolutionOf(world, one, turn.arm)
    const failed = own.verdict === null
    const stable = failed && turn.arm === "canary" ? resolutionOf(world, one, "stable") : null
    expect(
      served.map(({ arm }) => arm),
      "who is asked",
    ).toEqual(
      turn.lockdown
        ? []
        : [
            ...(isThere(world, one, turn.arm) ? [turn.arm] : []),
            ...(stable && isThere(world, one, "stable") ? ["stable"] : []),
          ],
    )
    if (one.kind === "evaluate") expectDecision(world, one as Asked<Decision>, turn, own, stable)
    else expectScan(one as Asked<Scan>, turn, own, stable)

    if (turn.lockdown) {
      metrics.add("serin.fallbacks", "lockdown")
      continue
    }
    if (failed) metrics.add("serin.fallbacks", own.errorType)
    if (one.kind === "scan") {
      if (own.errorType === "unavailable") continue
      metrics.add("serin.scans", turn.arm, own.verdict ?? "error")
    } else {
      if (turn.arm === "canary" && own.errorType === "unavailable") continue
      metrics.add("serin.evaluations", turn.arm, own.verdict ?? "error", own.errorType)
    }
    if (one.session.kind !== "sessionless") {
      acting.add(one.session.id)
      counted.push({ one, turn, own })
    } else if (one.kind === "evaluate") metrics.add("serin.sessionless")
  }

  counted.sort((a, b) => a.own.seq - b.own.seq || a.one.n - b.one.n)
  const { generation } = guard.evidence()
  const count = (turn: Turn, cell: string): void => cells.add(turn.stratum, turn.arm, turn.cohort, cell)
  for (const { one, turn, own } of counted) {
    if (turn.told.generation !== generation || world.generationAt(own.seq) !== generation) continue
    const nth = one.session.next(one.kind === "evaluate" ? "evaluations" : "scans", generation)
    if (!turn.inferable || nth > CAP) continue
    if (one.kind === "scan") {
      count(turn, "scans")
      if (nth === 1) count(turn, "scan_sessions")
      if (own.verdict === null) count(turn, "scan_error")
      else if (SEVERE.includes(own.verdict)) count(turn, "scan_flagged")
      continue
    }
    const outcome = own.verdict ?? "error"
    count(turn, "evaluations")
    count(turn, outcome)
    if (nth > 1) continue
    count(turn, "sessions")
    count(turn, `first_${outcome}`)
  }

  for (const { session, turn, scripts, alerts } of watched) {
    const own = watch(turn, turn.arm, scripts)
    const stable = turn.arm === "canary" && own === null ? watch(turn, "stable", scripts) : null
    expect(alerts, "a canary that cannot watch leaves it to stable").toEqual(own ?? stable ?? ["monitor_failed"])
    for (const arm of turn.arm === "canary" && own === null ? (["canary", "stable"] as const) : [turn.arm]) {
      if (watch(turn, arm, scripts) !== null) continue
      const version = arm === "canary" ? turn.told.canary : turn.told.stable
      metrics.add("serin.fallbacks", version === null ? "unavailable" : scripts[VERSION[version]!]!.verdict)
    }
    if ((turn.arm === "canary" ? turn.told.canary : turn.told.stable) === null) continue
    if (own === null || own.length > 0) metrics.add("serin.alerts", turn.arm)
    if (session.kind === "sessionless") continue
    acting.add(session.id)
    if (turn.told.generation !== generation) continue
    const nth = session.next("observations", generation)
    if (!turn.inferable || nth > CAP) continue
    count(turn, "observations")
    if (nth === 1) count(turn, "observed_sessions")
    if (own === null || own.length > 0) count(turn, "alerts")
  }

  expect(inconsistencies(guard.evidence())).toEqual([])
  expect(countsOf(guard.evidence()).cells).toEqual(cells.toObject())

  const told = readMetrics(world)
  if (told === null) return
  for (const { late, arm, resolves } of asks) if (late && resolves) metrics.add("serin.late_results", arm)
  const names = [
    "serin.late_results",
    "serin.evaluations",
    "serin.fallbacks",
    "serin.scans",
    "serin.sessionless",
    "serin.alerts",
  ]
  const ours = Object.entries(told.counts.toObject()).filter(([key]) => names.includes(key.split(" ")[0]!))
  expect(Object.fromEntries(ours)).toEqual(metrics.toObject())
  expect(told.sum("serin.sessions")).toBe(acting.size)
  expect(told.durations).toBe(told.sum("serin.evaluations"))
  const compared = told.sum("serin.comparisons") + told.sum("serin.scan.comparisons")
  expect(compared, "every call or text judged by both has its outcomes").toBe(
    told.counts.toObject()["serin.shadow judged"] ?? 0,
  )
  expect(told.counts.toObject()["serin.shadow failed"]).toBeUndefined()
}

/** Pairs where nothing but inclusion can be told: what both judged, in whatever order, no more and no oftener. */
export function verifyPairs(world: World): void {
  const { asks, asked, guard } = world
  const { generation } = guard.evidence()
  const possible = new Counts()
  const perSession = new Map<string, number>()
  for (const one of asked) {
    const turn = one.turn!
    if (one.kind !== "evaluate" || turn.lockdown || !turn.sampled || turn.told.generation !== generation) continue
    const own = resolutionOf(world, one, turn.arm)
    const shadow = asks.find((ask) => ask.n === one.n && !ask.served)
    const fallback = own.verdict === null && own.errorType !== "unavailable" && turn.arm === "canary"
    const other = fallback ? resolutionOf(world, one, "stable") : shadow?.resolution
    if (other == null) continue
    const [s, c] = (turn.arm === "stable" ? [own, other] : [other, own]).map(({ verdict }) => verdict ?? "error")
    possible.add(turn.stratum, turn.cohort, OUTCOMES.indexOf(s as "allow"), OUTCOMES.indexOf(c as "allow"))
    perSession.set(one.session.id, (perSession.get(one.session.id) ?? 0) + 1)
  }
  const most = possible.toObject()
  const seen = new Map<string, number>()
  for (const [key, value] of Object.entries(countsOf(guard.evidence()).pairs)) {
    const [stratum, kind, cohort, s, c] = key.split(" ")
    if (kind !== "pairs" && kind !== "pairsAfter") continue
    const cell = `${stratum} ${cohort} ${s} ${c}`
    seen.set(cell, (seen.get(cell) ?? 0) + value)
  }
  for (const [cell, value] of seen) expect(value, `pairs of ${cell}`).toBeLessThanOrEqual(most[cell] ?? 0)
  const all = [...seen.values()].reduce((a, b) => a + b, 0)
  const capped = [...perSession.values()].reduce((sum, pairs) => sum + Math.min(CAP, pairs), 0)
  expect(all, "pairs within the cap of their sessions").toBeLessThanOrEqual(capped)
  const shadows = asks.filter(({ served }) => !served)
  for (const { n } of shadows) {
    expect(shadows.filter((ask) => ask.n === n).length, "nothing is judged twice in shadow").toBe(1)
    expect(
      asked.some((one) => one.n === n && one.turn!.sampled),
      "only what is sampled",
    ).toBe(true)
  }
}

const VERSION: Readonly<Record<string, number>> = { "1.0.0": 0, "2.0.0": 1, "3.0.0": 2 }

/** Null: the monitor failed, or its release is not there. */
function watch({ told }: Turn, arm: Arm, scripts: readonly { readonly verdict: string }[]): string[] | null {
  const version = arm === "canary" ? told.canary : told.stable
  if (version === null) return null
  const { verdict } = scripts[VERSION[version]!]!
  if (verdict === "throw" || verdict === "invalid") return null
  return verdict === "alert" ? [version] : []
}

function isThere({ mode }: World, one: { kind: string; turn: Turn | null }, arm: Arm): boolean {
  if (mode === "wrap" && one.kind === "evaluate") return true
  const { stable, canary } = one.turn!.told
  return (arm === "stable" ? stable : canary) !== null
}

function resolutionOf(world: World, one: Asked<Decision> | Asked<Scan>, arm: Arm): Resolution {
  if (!isThere(world, one, arm)) return { seq: one.seq, verdict: null, errorType: "unavailable" }
  const found: Ask | undefined = world.asks.find((ask) => ask.n === one.n && ask.served && ask.arm === arm)
  return found?.resolution ?? { seq: one.seq, verdict: null, errorType: "unavailable" }
}

function expectDecision(
  { mode, onStableError }: World,
  one: Asked<Decision>,
  { arm, lockdown, told }: Turn,
  own: Resolution,
  stable: Resolution | null,
): void {
  const last = stable ?? own
  if (mode === "wrap") {
    expect(one.thrown, "the host has its own denial").toBeUndefined()
    const is = lockdown || last.verdict === null ? "the host denies" : last.verdict
    expect(one.value).toEqual({ is })
    return
  }
  const fromStable = { arm: "stable", release: told.stableName }
  if (lockdown) {
    expect(one.value).toMatchObject({ ...fromStable, outcome: "deny", source: "lockdown" })
  } else if (own.verdict !== null) {
    const release = arm === "stable" ? told.stableName : told.canaryName
    const decision = { outcome: own.verdict, arm, release, source: "policy", errorType: undefined }
    expect(one.value).toMatchObject(decision)
  } else if (last.verdict !== null) {
    const decision = { ...fromStable, outcome: last.verdict, source: "fallback", errorType: own.errorType }
    expect(one.value).toMatchObject(decision)
  } else if (onStableError === "throw" && last.errorType === "throw") {
    expect(one.thrown, "the policy's own error").toBeInstanceOf(Error)
    return
  } else {
    const outcome = onStableError === "escalate" ? "escalate" : "deny"
    expect(one.value).toMatchObject({ ...fromStable, outcome, source: "posture", errorType: last.errorType })
  }
  expect(one.thrown).toBeUndefined()
}

function expectScan(one: Asked<Scan>, { arm, lockdown, told }: Turn, own: Resolution, stable: Resolution | null): void {
  expect(one.thrown, "a scan never throws").toBeUndefined()
  const fromStable = { arm: "stable", release: told.stableName }
  const last = stable ?? own
  if (lockdown) expect(one.value).toMatchObject({ ...fromStable, result: "blocked", source: "lockdown" })
  else if (own.verdict !== null) {
    const release = arm === "stable" ? told.stableName : told.canaryName
    expect(one.value).toMatchObject({ result: own.verdict, arm, release, source: "scanners" })
  } else if (last.verdict !== null) {
    const scan = { ...fromStable, result: last.verdict, source: "fallback", errorType: own.errorType }
    expect(one.value).toMatchObject(scan)
  } else {
    expect(one.value).toMatchObject({ ...fromStable, result: "blocked", source: "posture", errorType: last.errorType })
  }
}

const LABELS = [
  "serin.arm",
  "serin.stable.outcome",
  "serin.canary.outcome",
  "serin.outcome",
  "serin.scan.result",
  "serin.shadow.result",
  "serin.fallback.reason",
  "error.type",
]

/** What the metrics say; null when no sink reads them. */
export function readMetrics(world: World) {
  const reading = world.metrics()
  if (reading === undefined) return null
  const counts = new Map<string, number>()
  for (const { name, points } of reading.counters) {
    for (const { attributes, value } of points) {
      const key = [name, ...LABELS.flatMap((label) => (label in attributes ? [String(attributes[label])] : []))].join(
        " ",
      )
      counts.set(key, (counts.get(key) ?? 0) + value)
    }
  }
  const duration = reading.histograms.find(({ name }) => name === "serin.evaluation.duration")
  return {
    counts: {
      toObject: (): Record<string, number> => Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))),
    },
    sum: (name: string): number =>
      [...counts].reduce((sum, [key, value]) => (key.split(" ")[0] === name ? sum + value : sum), 0),
    durations: (duration?.points ?? []).reduce((sum, { counts: bins }) => sum + bins.reduce((a, b) => a + b, 0), 0),
    arms: ARMS,
  }
}
