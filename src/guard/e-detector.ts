/** Watches 0/1 outcomes for a rate far above what is bearable, from the start or from any later moment on. */
export interface EDetector {
  /** Take the next outcome. True when the evidence has reached the threshold. */
  see(event: boolean): boolean
  readonly evidence: number
  /** Outcomes, and events among them, since the moment from which the evidence comes. */
  readonly trials: number
  readonly events: number
}

/** The rate that is bet on: what denies or allows everything, but for a call in twenty. */
const CATASTROPHE = 0.95

/**
 * Make a detector of a rate above `bound`. Each start j has an e-process, the likelihood ratio of a rate of 0.95 to one of `bound` over
 * the outcomes from j on, and the weight 1 / (j (j + 1)); the evidence is their weighted sum, kept by its recursion.
 *
 * Guarantee: as long as the chance of an event, given all before it, is at most `bound` each time, the evidence ever reaches the
 * threshold with a chance of at most 1 / threshold, however long it is watched. Under that chance a likelihood ratio grows by a factor
 * of mean 1 at most, so evidence + 1 / (n + 1), which begins at 1, is a supermartingale: Ville's inequality. Nothing is promised between
 * `bound` and 0.95. Starting late costs 2 ln n of log-evidence, the price of a promise for life; an unweighted sum or the maximum
 * (e-SR, e-CUSUM: Shin, Ramdas and Rinaldo, "E-detectors", 2023) costs nothing, and only promises a mean of `threshold` outcomes to a false alarm.
 */
export function createEDetector(bound: number, threshold: number): EDetector {
  const onEvent = CATASTROPHE / bound
  const onNone = (1 - CATASTROPHE) / (1 - bound)
  let n = 0
  let evidence = 0
  let trials = 0
  let events = 0

  return {
    see(event) {
      n += 1
      const weight = 1 / (n * (n + 1))
      // All that came before weighs less than to start here.
      if (evidence < weight) trials = events = 0
      trials += 1
      if (event) events += 1
      evidence = (evidence + weight) * (event ? onEvent : onNone)
      return evidence >= threshold
    },
    get evidence() {
      return evidence
    },
    get trials() {
      return trials
    },
    get events() {
      return events
    },
  }
}
