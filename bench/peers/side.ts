import type { Arm, Effect } from "serin"

/** What the application asks about. */
export interface AppCall {
  readonly action: string
  readonly input: { readonly amount: number }
}

/** One way to run a canary, made as its users make it. Each runs in a process of its own, so that none is compiled for another's objects. */
export interface Side {
  /** The application's function for one session: choose the arm, ask the policy, record what was decided. */
  session(id: string): (call: AppCall) => Effect | Promise<Effect>
  /** The arm, asked for as the side asks for it. */
  armOf(id: string): Arm | Promise<Arm>
  /** The counter that must hold every decision, and which of its attributes names the arm. */
  readonly counted: { readonly metric: string; readonly arm: string }
  /** A counter that must have as many, whatever its attributes. */
  readonly alsoCounted?: string
  /** End what decisions left to do; it is timed with them. */
  readonly settle?: () => Promise<void>
  /** Make one more of what a process has one of: a guard, a client. */
  another(): unknown
  close(): unknown
}
