import { quantile, rowOf } from "../measure.js"
import type { Row } from "../measure.js"
import type { Size } from "./install-size.js"

/** What one run found of one side; lists have one number a round, in the order of the rounds. */
export interface Measured {
  readonly name: string
  readonly is: "ours" | "peer" | "other"
  /** Share of 10,000 sessions that are the canary's. */
  readonly share: number
  readonly cpuNs: readonly number[]
  readonly tailNs: readonly number[]
  readonly garbageBytes: number
  readonly heapBytes: number
  readonly arraysBytes: number
  /** CPU time of importing it in a new process, whole and after OpenTelemetry's API; absent where nothing of its own is imported. */
  readonly imports?: { readonly ms: readonly number[]; readonly afterApiMs: readonly number[] }
  readonly install?: Size
}

/** The run in numbers that need no rounds: what `--json` writes. */
export interface Report {
  readonly node: string
  readonly sides: readonly SideReport[]
  /** Each of ours beside each peer. In `tail` rows, times are of the clock on the wall. */
  readonly cpu: readonly PeerRow[]
  readonly tail: readonly PeerRow[]
  readonly garbage: readonly PeerRow[]
  readonly aims: readonly Aim[]
}

/** CPU time of a decision as a share of a peer's: what was aimed at, and what it is. */
export interface Aim {
  readonly ours: string
  readonly peer: string
  readonly aim: number
  readonly ratio: number
  readonly isKept: boolean
}

/** A twentieth of the standard's stack with its metrics; of every other peer, less than it. */
const AIMS: Readonly<Record<string, number>> = { "OpenFeature + flagd + MetricsHook": 0.05 }

export type PeerRow = Row & { readonly ours: string; readonly peer: string }

export interface SideReport extends Omit<Measured, "cpuNs" | "tailNs" | "imports"> {
  readonly cpuNs: number
  readonly tailNs: number
  readonly importMs?: number
  readonly importAfterApiMs?: number
}

/** Reduce rounds to medians, and to ratios of what was measured in the same round. */
export function reportOf(node: string, measured: readonly Measured[]): Report {
  const pairs = measured
    .filter(({ is }) => is === "ours")
    .flatMap((ours) => measured.filter(({ is }) => is === "peer").map((peer) => [ours, peer] as const))
  const rows = (what: string, of: (side: Measured) => readonly number[]): PeerRow[] =>
    pairs.map(([ours, peer]) => {
      const [a, b] = [of(ours), of(peer)]
      if (a.length === 0 || a.length !== b.length) throw new Error(`${ours.name} and ${peer.name} had unlike rounds`)
      const timed = a.map((value, i) => [value, b[i]!] as const)
      return { ...rowOf(`${what}: ${ours.name} vs ${peer.name}`, timed), ours: ours.name, peer: peer.name }
    })
  const cpu = rows("CPU time of a decision", ({ cpuNs }) => cpuNs)
  return {
    node,
    sides: measured.map(sideOf),
    aims: cpu.map(({ ours, peer, ratio }) => {
      const aim = AIMS[peer] ?? 1
      return { ours, peer, aim, ratio, isKept: ratio <= aim }
    }),
    cpu,
    tail: rows("p99.9 of a decision", ({ tailNs }) => tailNs),
    garbage: rows("garbage of a decision, B", ({ garbageBytes }) => [garbageBytes]),
  }
}

function sideOf({ cpuNs, tailNs, imports, ...side }: Measured): SideReport {
  return {
    ...side,
    cpuNs: quantile(cpuNs, 0.5),
    tailNs: quantile(tailNs, 0.5),
    ...(imports === undefined
      ? {}
      : { importMs: quantile(imports.ms, 0.5), importAfterApiMs: quantile(imports.afterApiMs, 0.5) }),
  }
}
