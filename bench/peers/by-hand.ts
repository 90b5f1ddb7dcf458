import { handWrittenCanary } from "../hand-written.js"
import { policy } from "./app.js"
import type { Metrics } from "./app.js"
import type { Side } from "./side.js"

/** No library at all: what the application does besides choosing the arm, and a hash. */
export function openByHand({ meter }: Metrics): Side {
  const canary = handWrittenCanary(meter, policy, policy)
  return {
    session: (id) => canary.session(id),
    armOf: (id) => canary.armOf(id),
    counted: { metric: "app.evaluations", arm: "app.arm" },
    another: () => handWrittenCanary(meter, policy, policy),
    close() {},
  }
}
