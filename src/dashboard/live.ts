import { oneAtATime } from "../model/one-at-a-time.js"
import { reportKey, stateKey } from "../controller/keys.js"
import type { Hub } from "../serve/hub.js"
import type { Context } from "./route.js"
import { viewOf } from "./view.js"

/** Time between two looks at what changes with time alone: a judge that fell silent. Also the heartbeat, ms. */
export const LOOK_EVERY_MS = 5000

/** Called with each view of a rollout as bytes to send, or with a heartbeat. The same bytes for all viewers. */
type Viewer = (chunk: Uint8Array, kind: "view" | "beat") => void

/** One look at a rollout for all who watch it. */
export interface Live {
  /** Call `viewer` with what there is, and with each change from now on, until the answer is called. */
  subscribe(rollout: string, viewer: Viewer): () => void
  /** Rollouts that somebody watches. */
  size(): number
}

interface Watched {
  readonly viewers: Set<Viewer>
  last(): Uint8Array | null
  close(): void
}

const BEAT = new TextEncoder().encode(":\n\n")

/** Make a view when a document changed, once for everybody, and hand on what differs from the last one in more than the time. */
export function createLive(context: Context, hub: Hub): Live {
  const rollouts = new Map<string, Watched>()

  function open(rollout: string): Watched {
    const viewers = new Set<Viewer>()
    let known = ""
    let last: Uint8Array | null = null
    const lifetime = new AbortController()
    let cancel = context.clock.schedule(onTime, LOOK_EVERY_MS)

    function onTime(): void {
      for (const viewer of viewers) viewer(BEAT, "beat")
      void look()
      cancel = context.clock.schedule(onTime, LOOK_EVERY_MS)
    }

    const look = oneAtATime(async () => {
      try {
        const view = await viewOf(context, rollout)
        const text = JSON.stringify(view)
        // Of what has only grown older, viewers know the age themselves.
        const same = JSON.stringify({ ...view, now: 0, reportAgeMs: 0, next: 0, outlook: 0 })
        if (same === known || lifetime.signal.aborted) return
        known = same
        last = new TextEncoder().encode(`event: status\ndata: ${text}\n\n`)
        for (const viewer of viewers) viewer(last, "view")
      } catch (error) {
        // Viewers see the age of what they have; the next look is due in time.
        context.tell(error)
      }
    }, lifetime.signal)

    const stops = [stateKey(rollout), reportKey(rollout)].map((key) => hub.subscribe(key, () => void look()))
    void look()
    return {
      viewers,
      last: () => last,
      close() {
        lifetime.abort()
        cancel()
        for (const stop of stops) stop()
      },
    }
  }

  return {
    subscribe(rollout, viewer) {
      const watched = rollouts.get(rollout) ?? open(rollout)
      rollouts.set(rollout, watched)
      const own: Viewer = (chunk, kind) => viewer(chunk, kind)
      watched.viewers.add(own)
      const last = watched.last()
      if (last !== null) own(last, "view")
      return () => {
        if (!watched.viewers.delete(own) || watched.viewers.size > 0) return
        watched.close()
        rollouts.delete(rollout)
      }
    },
    size: () => rollouts.size,
  }
}
