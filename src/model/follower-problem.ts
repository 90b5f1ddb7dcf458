/** Why a process does not follow its rollout as it should. Closed: each is a metric's label as well. */
export const FOLLOWER_PROBLEMS = [
  /** The store fails, does not answer in time, or does not let this process in. */
  "store_unreachable",
  /** What is in force is known to be old: the store has not answered since the start, or the leader has a newer revision. */
  "stale",
  /** The canary serves nobody here, because nobody is known to lead. */
  "canary_lease_expired",
  "rejected_invalid",
  "rejected_untrusted",
  "rejected_other_rollout",
  "rejected_older_revision",
  "rejected_same_revision",
] as const

/** What is wrong with what a follower reads, by a code that stays. */
export type FollowerProblem = (typeof FOLLOWER_PROBLEMS)[number]

/** Something that is wrong now. */
export interface ReadProblem {
  readonly code: FollowerProblem
  /** Ms since the epoch. */
  readonly since: number
  readonly message: string
}
