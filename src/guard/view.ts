import type { Call } from "../model/call.js"
import type { Evaluation, Release, ScanReport } from "../release/ports.js"
import type { RampEntry, RolloutState } from "../rollout/state.js"
import { isContained, phaseOf, servesCanary } from "../rollout/phase.js"

/** A release as the guard holds it: it may answer later. */
export type AnyRelease<C extends Call = Call> = Release<
  C,
  Evaluation | Promise<Evaluation>,
  ScanReport | Promise<ScanReport>
>

/** The rollout state made ready for the call: read on every decision, rebuilt on every change. */
export interface View<C extends Call> {
  readonly state: RolloutState | null
  readonly generation: number
  readonly salt: string
  readonly ramp: readonly RampEntry[]
  /** The kill switch denies every call. */
  readonly lockdown: boolean
  /** Sessions may be served by the canary. False at once on rollback, kill and a blown fuse, whatever the ramp says. */
  readonly canaryServes: boolean
  /** Both releases judge every call, and the stricter answer is served. */
  readonly contained: boolean
  readonly fuseBlown: boolean
  /** Sessions of the canary that are called now are stable's, perhaps by this process alone. None that is called now is compared. */
  readonly displaced: boolean
  /** A canary is being put to the test: shadow, canary or baking. */
  readonly underWay: boolean
  /** Share of sessions that both releases judge, basis points; 0 when nothing is being compared. */
  readonly sampleBp: number
  readonly stableVersion: string
  readonly canaryVersion: string
  /** Undefined: not loaded. */
  readonly stable: AnyRelease<C> | undefined
  readonly canary: AnyRelease<C> | undefined
  /** Asynchronous answers of this pair of releases that are waited for; views of the same pair count together. */
  readonly inFlight: { count: number }
}

/** What this process knows by itself. */
export interface Own {
  readonly fuseBlown?: boolean | undefined
  /** The canary must not serve, because nobody is known to lead. */
  readonly leaseOver?: boolean | undefined
  /** Serves while no other stable release was ever loaded. */
  readonly bootstrap?: string | undefined
}

const UNDER_WAY = new Set(["shadow", "canary", "baking"])

/** Build the view of a state. When its stable release is not loaded, the last known stable goes on, else the bootstrap release. */
export function compileView<C extends Call>(
  state: RolloutState | null,
  releases: Pick<ReadonlyMap<string, AnyRelease<C>>, "get">,
  previous: View<C> | null,
  { fuseBlown = false, leaseOver = false, bootstrap }: Own = {},
): View<C> {
  const last = previous?.stable ?? (bootstrap === undefined ? undefined : releases.get(bootstrap))
  if (state === null) {
    return {
      state,
      generation: 0,
      salt: "",
      ramp: [],
      lockdown: false,
      canaryServes: false,
      contained: false,
      fuseBlown: false,
      displaced: false,
      underWay: false,
      sampleBp: 0,
      stableVersion: last?.version ?? previous?.stableVersion ?? bootstrap ?? "",
      canaryVersion: "",
      stable: last,
      canary: undefined,
      inFlight: inFlightOf(previous, last, undefined),
    }
  }
  const stable = releases.get(state.stable) ?? last
  const canary = state.canary === null ? undefined : releases.get(state.canary)
  const underWay = UNDER_WAY.has(phaseOf(state).phase)
  const view: View<C> = {
    state,
    generation: state.generation,
    salt: state.salt,
    ramp: state.ramp,
    lockdown: state.kill === "deny",
    canaryServes: servesCanary(state) && !fuseBlown,
    fuseBlown,
    // A kill may be this process's alone, and be over before the canary is.
    displaced: fuseBlown || state.kill === "stable",
    contained: isContained(state),
    underWay,
    sampleBp: underWay ? state.spec.shadowSampleBp : 0,
    stableVersion: stable?.version ?? state.stable,
    canaryVersion: state.canary ?? "",
    stable,
    canary,
    inFlight: inFlightOf(previous, stable, canary),
  }
  return leaseOver ? suspend(view) : view
}

/** Take the canary out of service, until the next view. In shadow that displaces nobody who is compared. */
export function suspend<C extends Call>(view: View<C>): View<C> {
  const isShadow = view.state !== null && phaseOf(view.state).phase === "shadow"
  return { ...view, canaryServes: false, displaced: view.displaced || !isShadow }
}

function inFlightOf<C extends Call>(
  previous: View<C> | null,
  stable: AnyRelease<C> | undefined,
  canary: AnyRelease<C> | undefined,
): { count: number } {
  return previous !== null && previous.stable === stable && previous.canary === canary
    ? previous.inFlight
    : { count: 0 }
}
