import { describe, expect, it } from "vitest"
import type { FollowerProblem } from "../../src/model/follower-problem.js"
import type { FindingCode } from "../../src/operate/audit/chain.js"
import type { Beat } from "../../src/rollout/beat.js"
import type { RolloutEvent } from "../../src/rollout/event.js"
import type { Phase } from "../../src/rollout/phase.js"
import type { HoldReason, RolloutState, Transition } from "../../src/rollout/state.js"
import { firstColumn, readPage } from "./pages.js"

// Records, so that a member that is added to a type and forgotten here does not compile.
const HOLDS: Record<HoldReason, true> = {
  paused: true,
  breach: true,
  no_data: true,
  srm: true,
  sample: true,
  inconclusive: true,
  approval: true,
  releases: true,
  fuse: true,
}
const PHASES: Record<Phase["phase"], true> = {
  idle: true,
  shadow: true,
  canary: true,
  baking: true,
  promoted: true,
  rolled_back: true,
  contained: true,
  killed: true,
}
const EVENTS: Record<RolloutEvent["type"], true> = {
  start: true,
  tick: true,
  pause: true,
  resume: true,
  approve: true,
  promote: true,
  rollback: true,
  contain: true,
  kill: true,
  retry: true,
  lead: true,
}
const PROBLEMS: Record<FollowerProblem, true> = {
  store_unreachable: true,
  stale: true,
  canary_lease_expired: true,
  rejected_invalid: true,
  rejected_untrusted: true,
  rejected_other_rollout: true,
  rejected_older_revision: true,
  rejected_same_revision: true,
}
const FIELDS: Record<keyof RolloutState, true> = {
  format: true,
  rollout: true,
  revision: true,
  generation: true,
  epoch: true,
  assign: true,
  salt: true,
  spec: true,
  stable: true,
  canary: true,
  digests: true,
  ramp: true,
  holds: true,
  approvals: true,
  kill: true,
  ended: true,
  last: true,
}

const LAST: Record<keyof Transition, true> = {
  event: true,
  at: true,
  actor: true,
  reason: true,
  verdict: true,
  record: true,
  previous: true,
  base: true,
}
const FINDINGS: Record<FindingCode, true> = {
  unreadable: true,
  changed: true,
  misplaced: true,
  removed: true,
  unchained: true,
  untrusted: true,
  head_changed: true,
  head_removed: true,
  record_changed: true,
  record_missing: true,
}

const BEAT: Record<keyof Beat, true> = {
  format: true,
  rollout: true,
  epoch: true,
  beat: true,
  holder: true,
  revision: true,
  takeoverAfterMs: true,
  ledMs: true,
}

describe("docs/reference/state.md", () => {
  it.each([
    ["field", FIELDS],
    ["field of the leader's document", BEAT],
    ["field of a revision's last", LAST],
    ["finding of an audit", FINDINGS],
    ["hold", HOLDS],
    ["phase", PHASES],
    ["event", EVENTS],
    ["refusal of the follower", PROBLEMS],
  ])("has a row for every %s", (_, names) => {
    const rows = firstColumn(readPage("reference/state.md"))
    expect(Object.keys(names).filter((name) => !rows.includes(name))).toEqual([])
  })
})

describe("docs/guide/incident.md", () => {
  it("says what to do about every hold", () => {
    const rows = firstColumn(readPage("guide/incident.md"))
    expect(Object.keys(HOLDS).filter((name) => !rows.includes(name))).toEqual([])
  })
})
