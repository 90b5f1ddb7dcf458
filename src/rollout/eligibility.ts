import type { Eligible, Stage } from "./spec.js"

/**
 * Index of the first stage that shuts out sessions that the serving stage before it takes in; -1: each takes in as many or more.
 * A ramp only adds sessions.
 */
export const firstNarrower = (stages: readonly Stage[], eligible: Eligible | null): number =>
  stages.findIndex((stage, i) => {
    const before = stages[i - 1]
    if (before === undefined || before.weightBp === 0) return false
    return !covers(stage.eligible ?? eligible, before.eligible ?? eligible)
  })

/** Tell whether every session of `inner` is one of `outer`; null is every session. */
function covers(outer: Eligible | null, inner: Eligible | null): boolean {
  if (outer === null) return true
  if (inner === null) return false
  return Object.entries(outer).every(
    ([name, values]) => Object.hasOwn(inner, name) && inner[name]!.every((value) => values.includes(value)),
  )
}
