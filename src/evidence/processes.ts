/** What the processes that serve a rollout say besides their counts; from one of them, or from a fleet. */
export interface Processes {
  /** `missing`: one that is alive has not loaded the canary. */
  readonly releases: "ready" | "missing"
  /** Why so many of them took the canary out by their fuse that the rollout must not go on; null: they did not. */
  readonly fuse: string | null
  /** What is wrong with what they say. */
  readonly problem?: string | undefined
}
