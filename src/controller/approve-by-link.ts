import { SerinError } from "../errors.js"
import type { ApprovalGrant } from "../notify/approval-token.js"
import { isUnderWay, phaseOf } from "../rollout/phase.js"
import type { Actor, RolloutState } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { transition } from "../rollout/transition.js"
import { change, pastStates } from "./verbs.js"

/** Writers that meet take turns. */
const MAX_ATTEMPTS = 20
/** A link outlives a day at most: more happens in none. */
const MAX_READ = 500

/** Whether a grant may be used now, and on which state; or why not. */
export type LinkStanding =
  { readonly good: true; readonly state: RolloutState } | { readonly good: false; readonly why: string }

/**
 * Say whether a grant is still good. It is while the approval that it was made for is asked for without a break: it stands in each revision
 * since. So it is used once: what approves the stage, by this link or otherwise, ends the asking, and when it is asked for anew it
 * is by another revision. A pause, a resume or another leader in between changes nothing. `now` is ms since the epoch.
 */
export async function linkStanding(store: StateStore, grant: ApprovalGrant, now: number): Promise<LinkStanding> {
  if (now >= grant.expires) return no(`this link was good until ${new Date(grant.expires).toISOString()}`)
  let newest: RolloutState | null = null
  let read = 0
  for await (const state of pastStates(store, grant.rollout)) {
    if (state.revision < grant.revision) break
    newest ??= state
    if (newest.revision - state.revision !== read++) return no("the history has a gap since this link was made")
    if (state.generation !== grant.generation) return no("another canary is under way since this link was made")
    if (!asksFor(state, grant.stage)) return no(whyOver(newest, grant.stage))
    if (state.revision === grant.revision) return { good: true, state: newest }
    if (read >= MAX_READ) break
  }
  return no("the revision that this link was made for is not kept any more")
}

/** Approve what a grant is for, in the name of the channel that was given it. Throws `TRANSITION_REFUSED` for one that is not good any more. */
export async function approveByLink(
  store: StateStore,
  grant: ApprovalGrant,
  reason: string,
  now: () => number,
): Promise<RolloutState> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const standing = await linkStanding(store, grant, now())
    if (!standing.good) throw new SerinError("TRANSITION_REFUSED", standing.why)
    const { revision } = standing.state
    const event = { type: "approve", actor: actorOf(grant), reason } as const
    // What was looked at is what is written over: of two at once, one finds another revision, and looks again.
    const { state, written } = await change(store, grant.rollout, (stored) =>
      stored.revision === revision ? transition(stored, event, now()) : stored,
    )
    if (written) return state
  }
  throw new SerinError("STORE_CONFLICT", `rollout ${grant.rollout} was changed by others all the time; try again`)
}

/** It proves that somebody had the link that this channel was given, and no more. */
export const actorOf = ({ to }: ApprovalGrant): Actor => ({ kind: "human", id: `${to} (approval link)` })

function asksFor(state: RolloutState, stage: number): boolean {
  const phase = phaseOf(state)
  return isUnderWay(phase) && phase.stage === stage && state.holds.some(({ reason }) => reason === "approval")
}

function whyOver(newest: RolloutState, stage: number): string {
  const approval = newest.approvals.find((one) => one.stage === stage)
  if (approval !== undefined) return `this stage was approved already, by ${approval.by}: a link works once`
  return "the approval that this link was made for is not asked for any more: the rollout has moved on"
}

const no = (why: string): LinkStanding => ({ good: false, why })
