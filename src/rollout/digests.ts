import type { RetryEvent, StartEvent } from "./event.js"
import type { RolloutSpec } from "./spec.js"
import type { RolloutState } from "./state.js"

/** Which of the releases that bear a version is meant: digests of their files, by arm. Without one, any. */
export interface Digests {
  readonly stable?: string | undefined
  readonly canary?: string | undefined
}

/** What may name a release's bytes: `sha256:…` of its files, or what a source of the host's own calls them by. */
export const DIGEST = /^[!-~]{1,128}$/

/** The digest that a release must have to run as this version; undefined: any. */
export function digestOf({ stable, canary, digests }: RolloutState, version: string): string | undefined {
  return version === stable ? digests?.stable : version === canary ? digests?.canary : undefined
}

/**
 * Digests of a new generation: those that its event names, and none besides. Where it says nothing of them, those that were replayed at its
 * gate, and for a version that goes on, those before: who knows of no digests must not be able to lift them.
 */
export function digestsOf(state: RolloutState, spec: RolloutSpec, { digests, gate }: StartEvent | RetryEvent): Digests {
  if (digests !== undefined) return digests
  return {
    stable: nameOf(gate?.stable.digest) ?? digestOf(state, spec.stable),
    canary: nameOf(gate?.canary.digest) ?? digestOf(state, spec.canary),
  }
}

/** A digest that can be written: of a release that the host made, it may be anything. */
export const nameOf = (digest: string | null | undefined): string | undefined =>
  digest && DIGEST.test(digest) ? digest : undefined

/** Say why a rollout may not begin with these digests, as the end of a sentence; null: nothing is in its way. */
export function digestRefusal({ digests, gate }: StartEvent | RetryEvent): string | null {
  for (const arm of ["stable", "canary"] as const) {
    const [meant, replayed] = [digests?.[arm], gate?.[arm].digest ?? undefined]
    if (meant === undefined || replayed === undefined || meant === replayed) continue
    return `the ${arm} release that was replayed is ${replayed}, not ${meant}: its files changed meanwhile`
  }
  return null
}
