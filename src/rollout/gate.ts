import type { CriterionName } from "../model/verdict.js"
import type { RolloutSpec } from "./spec.js"

/** What must be passed before a rollout begins. */
export interface Gate {
  /** Recorded calls that both releases judge: a path as it is written, relative to the rollout's file. */
  readonly replay: string
}

/** What came of that: a report of `replayCalls` will do, made with the criteria of the rollout. */
export interface GateReport {
  readonly stable: { readonly version: string; readonly digest: string | null }
  readonly canary: { readonly version: string; readonly digest: string | null }
  readonly calls: number
  /** sha-256 of the recording, when it was a file. */
  readonly recording?: string | null | undefined
  readonly differing: number
  readonly budgets: readonly {
    readonly criterion: CriterionName
    readonly max: number
    readonly measured: number | null
    readonly result: "within" | "over" | "no_data"
  }[]
}

/** Say why a rollout may not begin yet, as the end of a sentence; null: nothing is in its way. */
export function gateRefusal(spec: RolloutSpec, report: GateReport | undefined): string | null {
  if (spec.gate === undefined) return null
  if (report === undefined) {
    return `its gate asks for a replay of ${spec.gate.replay} first: \`serin start\` makes it, and \`start: true\` of embed()`
  }
  const { stable, canary, budgets } = report
  if (stable.version !== spec.stable || canary.version !== spec.canary) {
    return `the replay was of ${stable.version} and ${canary.version}, not of ${spec.stable} and ${spec.canary}`
  }
  const enforced = spec.criteria.filter(({ mode }) => mode === "enforce")
  const held = enforced.map(({ name, max }) =>
    budgets.find((budget) => budget.criterion === name && budget.max === max),
  )
  const unheld = enforced.find((_, i) => held[i] === undefined)
  if (unheld !== undefined) return `the replay was not held against ${unheld.name}: ${unheld.max}`
  const over = held.flatMap((budget) => (budget?.result === "over" ? [overWords(budget)] : []))
  if (over.length > 0) {
    return `on the recorded calls of ${spec.gate.replay}, ${over.join("; ")}: \`serin replay\` shows which they are`
  }
  if (held.some((budget) => budget?.result === "within")) return null
  return `the recorded calls of ${spec.gate.replay} tell nothing of any criterion that is enforced`
}

const overWords = ({ criterion, max, measured }: GateReport["budgets"][number]): string =>
  `${criterion} is ${Number((measured ?? 0).toPrecision(3))}, above ${max}`

/** Say what let a rollout begin, for the history; nothing without a gate. */
export function gateWords({ gate }: RolloutSpec, report: GateReport | undefined): string {
  if (gate === undefined || report === undefined) return ""
  const { stable, canary, calls, differing, recording } = report
  const digests = [stable, canary].map(({ version, digest }) => `${version} (${digest ?? "made in code"})`)
  const file = recording ? `${gate.replay} (${recording})` : gate.replay
  return `; replayed ${calls} ${calls === 1 ? "call" : "calls"} of ${file}, ${differing} answered otherwise, within the limits: ${digests.join(", ")}`
}
