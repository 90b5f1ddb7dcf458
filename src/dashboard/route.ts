import type { Clock } from "../model/clock.js"
import type { Actor } from "../rollout/state.js"
import type { ReadStore, StateStore } from "../rollout/store.js"
import type { Stores } from "../operate/apply.js"
import type { Explored } from "./disagreements.js"

/** What a route answers. Around it stand, for every route alike: who may, same origin, rate, size, headers and errors. */
export interface Route {
  readonly method: "GET" | "POST"
  /** Below the rollout: `disagreements`. One segment, or several. */
  readonly path: string
  /**
   * `act`: changes something; asked of whoever has a name, from this page alone. `own`: the route itself finds out who may, by a secret that
   * is in the request and nowhere else; neither `authorize` nor the page's origin is asked.
   */
  readonly access: "read" | "act" | "own"
  answer(asked: Asked): Response | Promise<Response>
}

export interface Asked {
  readonly request: Request
  readonly url: URL
  readonly rollout: string
  /** Who asks, where `authorize` said so; with `act`, always. */
  readonly actor: Actor | null
  /** Of a POST: the JSON object that came with it, or, with `own`, the fields of a form. */
  readonly body: Readonly<Record<string, unknown>>
}

/** What routes are made of. */
export interface Context {
  /** To read: whoever asks at the same time is answered by the same read. */
  readonly read: Pick<ReadStore, "get">
  /** To write to; null: this can only be read. */
  readonly stores: Stores | null
  readonly clock: Clock
  /** Secrets of approval links. Default: there are no links. */
  readonly approvalKeys?: readonly string[] | undefined
  /** What calls of disagreements are shown from. Default: none are. */
  readonly explored?: Explored | undefined
  /** To be told of changes, and for what was before where the store tells. */
  readonly watched: ReadStore | (ReadStore & Pick<StateStore, "history">)
  /** Ends streams. */
  readonly signal: AbortSignal
  /** Take what went wrong here, and is nobody's business out there. Never throws. */
  tell(error: unknown): void
}
