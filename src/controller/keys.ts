/** Document that holds the rollout's state. */
export const stateKey = (rollout: string): string => `${rollout}/state`

/** Document that holds the last judgement, for people in other processes. */
export const reportKey = (rollout: string): string => `${rollout}/report`

/** Document that holds verdicts with all that they were made of: its revisions are those that moved the rollout. */
export const verdictKey = (rollout: string): string => `${rollout}/verdict`

/** Document that holds the beat of whoever leads. */
export const leaderKey = (rollout: string): string => `${rollout}/leader`

/** Document that holds what people say of the disagreements. */
export const labelsKey = (rollout: string): string => `${rollout}/labels`

/** Document that remembers up to which revision each channel was told. */
export const notifiedKey = (rollout: string): string => `${rollout}/notified`

export { evidenceKey } from "../evidence/publication.js"
