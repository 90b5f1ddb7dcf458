import { SerinError } from "../../src/errors.js"
import type { StateStore } from "../../src/rollout/store.js"

/**
 * `down`: nothing is done; `stalled`: no answer, ever; `deaf`: what is written is written, and the answer is lost; `read-only`: only
 * writes fail.
 */
export type Weather = "fine" | "down" | "stalled" | "deaf" | "read-only"

/** A store in a weather that the test decides. It gives no hints: what is seen is seen by a poll. */
export function unreliable(inner: StateStore) {
  let weather: Weather = "fine"
  const down = (): Promise<never> => Promise.reject(new SerinError("STORE_UNAVAILABLE", "down"))
  const never = (): Promise<never> => new Promise(() => {})
  const store: StateStore = {
    ...inner,
    watch: () => {},
    get: (...args) => (weather === "down" ? down() : weather === "stalled" ? never() : inner.get(...args)),
    async compareAndSet(...args) {
      if (weather === "down" || weather === "read-only") return down()
      if (weather === "stalled") return never()
      const result = await inner.compareAndSet(...args)
      if (weather === "deaf" && result.ok) throw new SerinError("STORE_AMBIGUOUS", "the answer was lost")
      return result
    },
    async *history(...args) {
      if (weather === "down") await down()
      if (weather === "stalled") await never()
      yield* inner.history(...args)
    },
  }
  return { store, turn: (next: Weather) => void (weather = next) }
}
