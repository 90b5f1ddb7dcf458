import { sfc32 } from "serin/testing"

/** Something that happens to the fleet. Times are of the scripted hour, ms. */
export type Disturbance = { readonly at: number } &
  /** A link forwards nothing, and says nothing, until it is healed. */
  (
    | { readonly is: "stall"; readonly link: string; readonly forMs: number }
    /** Connections break, and no new one is made. */
    | { readonly is: "cut"; readonly link: string; readonly forMs: number }
    | { readonly is: "restart-store"; readonly downMs: number }
    /** It comes up with the data of its last restart, as a restored backup does; then with those that it had. What was written meanwhile is lost. */
    | { readonly is: "roll-back-store"; readonly forMs: number }
    /** SIGKILL; another takes its place. */
    | { readonly is: "kill-leader" }
    /** SIGSTOP, and SIGCONT. */
    | { readonly is: "freeze-leader"; readonly forMs: number }
    | { readonly is: "kill-agent"; readonly agent: string }
    | { readonly is: "freeze-agent"; readonly agent: string; readonly forMs: number }
    | { readonly is: "jump"; readonly process: string; readonly ms: number }
    /** What the process reads is broken, or from before. */
    | { readonly is: "corrupt" | "replay"; readonly process: string; readonly forMs: number }
    /** What a human does. */
    | { readonly is: "verb"; readonly verb: "kill" | "retry" | "rollback" | "pause" | "resume" }
  )

const MINUTE = 60_000

/** When the last disturbance has begun, ms. */
export const calmAt = (minutes: number): number => (minutes - 5) * MINUTE

/** Write the script of a seed: everything that can happen does, several times, and the last four minutes are calm. */
export function scriptOf(
  seed: number,
  minutes: number,
  agents: readonly string[],
  leaders: readonly string[],
): readonly Disturbance[] {
  const random = sfc32(seed)
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!
  const between = (low: number, high: number): number => Math.round(low + random() * (high - low))
  const everybody = [...agents, ...leaders]
  const kinds: readonly ((at: number) => Disturbance)[] = [
    (at) => ({ at, is: "stall", link: pick(everybody), forMs: between(5000, 60_000) }),
    (at) => ({ at, is: "cut", link: pick(everybody), forMs: between(2000, 60_000) }),
    (at) => ({ at, is: "restart-store", downMs: between(1000, 30_000) }),
    (at) => ({ at, is: "kill-leader" }),
    (at) => ({ at, is: "freeze-leader", forMs: between(2000, 20_000) }),
    (at) => ({ at, is: "kill-agent", agent: pick(agents) }),
    (at) => ({ at, is: "roll-back-store", forMs: between(5000, 40_000) }),
    (at) => ({ at, is: "freeze-agent", agent: pick(agents), forMs: between(2000, 40_000) }),
    (at) => ({ at, is: "jump", process: pick(everybody), ms: between(-2 * 60 * MINUTE, 2 * 60 * MINUTE) }),
    (at) => ({ at, is: "corrupt", process: pick(agents), forMs: between(5000, 40_000) }),
    (at) => ({ at, is: "replay", process: pick(agents), forMs: between(5000, 40_000) }),
  ]
  const end = calmAt(minutes)
  const disturbances: Disturbance[] = []
  for (let at = 1.5 * MINUTE, i = 0; at < end; at += between(4000, 20_000), i++) {
    disturbances.push(kinds[i % kinds.length]!(at))
  }
  // A human stops the canary every few minutes, and has it begin again.
  const stops = ["kill", "rollback", "pause"] as const
  for (let at = 3 * MINUTE, i = 0; at < end - MINUTE; at += between(3, 5) * MINUTE, i++) {
    const verb = stops[i % stops.length]!
    disturbances.push({ at, is: "verb", verb })
    disturbances.push({ at: at + between(30_000, 60_000), is: "verb", verb: verb === "pause" ? "resume" : "retry" })
  }
  // The calm is a generation of its own: of its evidence nothing may be missing.
  disturbances.push({ at: end + 60_000, is: "verb", verb: "rollback" }, { at: end + 65_000, is: "verb", verb: "retry" })
  return disturbances.toSorted((a, b) => a.at - b.at)
}
