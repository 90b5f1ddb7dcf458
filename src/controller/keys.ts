/** Document that holds the rollout's state. */
export const stateKey = (rollout: string): string => `${rollout}/state`

/** Document that holds the last judgement, for people in other processes. */
export const reportKey = (rollout: string): string => `${rollout}/report`
