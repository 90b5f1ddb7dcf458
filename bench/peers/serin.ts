import type * as Serin from "serin"
import type { Arm } from "serin"
import type * as Producer from "serin/metric-producer"
import type * as Rollout from "serin/rollout"
import { standingState } from "../standing-rollout.js"
import { importBuilt, openMetrics, policy } from "./app.js"
import type { Metrics } from "./app.js"
import type { AppCall, Side } from "./side.js"

export interface SerinWay {
  /** The session object is kept between calls; else it is looked up by its id for each, as peers are asked for each. */
  readonly kept: boolean
  /** How metrics leave: by OpenTelemetry's API, or read from the guard when a reader collects. */
  readonly metrics: "api" | "producer"
  /** Both releases judge every call, which no peer does. */
  readonly shadow: boolean
}

/** A guard at 5 %; what peers do not have, the comparison of both releases, is off where it is not asked for. */
export async function openSerin({ kept, metrics, shadow }: SerinWay): Promise<{ side: Side; metrics: Metrics }> {
  const { createGuard } = (await importBuilt("index.js")) as typeof Serin
  const rollout = (await importBuilt("rollout.js")) as typeof Rollout
  const { metricProducer } = (await importBuilt("telemetry/producer.js")) as typeof Producer
  const producer = metrics === "producer" ? metricProducer() : undefined
  const app = await openMetrics(producer)

  const state = standingState(rollout, shadow ? 10_000 : 0)
  const releases = new Map(["1", "2"].map((version) => [version, { version, policy: { evaluate: policy } }]))
  const makeGuard = () =>
    createGuard<AppCall>({
      rollout: "bench",
      state: { current: () => state, onChange: () => () => {} },
      releases,
      ...(producer === undefined ? {} : { metrics: producer }),
      // Nothing is left out to stay within a budget: all of it is timed.
      shadow: { queue: Number.POSITIVE_INFINITY, cpuShare: 1 },
    })
  const guard = makeGuard()
  const side: Side = {
    session(id) {
      if (!kept) return (call) => guard.session(id).evaluate(call).outcome
      const session = guard.session(id)
      return (call) => session.evaluate(call).outcome
    },
    armOf: (id): Arm => guard.session(id).arm,
    counted: { metric: "serin.evaluations", arm: "serin.arm" },
    ...(shadow ? { alsoCounted: "serin.comparisons", settle: () => guard.idle() } : {}),
    another: makeGuard,
    close: () => guard.close(),
  }
  return { side, metrics: app }
}
