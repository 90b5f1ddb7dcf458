import { reportKey } from "../../src/controller/keys.js"
import type { Report } from "../../src/controller/report.js"
import { act, ensureState, readState } from "../../src/controller/verbs.js"
import { dashboardHandler, type DashboardOptions } from "../../src/dashboard.js"
import type { RolloutEvent } from "../../src/rollout/event.js"
import { parseSpec } from "../../src/rollout/spec.js"
import type { RolloutState } from "../../src/rollout/state.js"
import type { StateStore } from "../../src/rollout/store.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock, type FakeClock } from "../../src/testing/fake-clock.js"

export const NAME = "refund-agent"
export const T0 = Date.UTC(2026, 0, 1)

const SPEC = `
rollout: ${NAME}
stable: 1.4.0
canary:
  release: 1.5.0
  stages: [5, 50, 100]
  observation_period: 1h
  acceptance_criteria: { deny_rate_delta_max: 0.02, latency_p99_delta_max: 50ms, newly_allowed_rate_max: 0.001 }
`

/** A rollout that was started, and its dashboard, on a clock that moves only when told. */
export interface Served {
  readonly store: StateStore
  readonly clock: FakeClock
  readonly handler: (request: Request) => Promise<Response>
  get(path: string, headers?: Record<string, string>): Promise<Response>
  /** A verb as the page asks for it; `revision` and `generation` are those in force unless given. */
  act(body: Readonly<Record<string, unknown>>, headers?: Record<string, string>): Promise<Response>
  state(): Promise<RolloutState>
  /** Do what another does. */
  apply(event: RolloutEvent): Promise<RolloutState>
  report(report: Partial<Report>): Promise<void>
}

export const PAGE_HEADERS = {
  "content-type": "application/json",
  "serin-dashboard": "1",
  "sec-fetch-site": "same-origin",
}

export async function serveDashboard(options: Partial<DashboardOptions> = {}, base = "", text = SPEC): Promise<Served> {
  const store = memoryStore()
  const clock = fakeClock(T0)
  const spec = parseSpec(text, { path: "rollout.yaml" })
  const actor = { kind: "human", id: "ana" } as const
  await ensureState(store, spec, actor, clock.now())
  await act(store, NAME, { type: "start", spec, salt: "salt", actor, reason: "try it" }, () => clock.now())
  const handler = dashboardHandler({
    store,
    rollouts: [NAME],
    authorize: (_, access) => (access === "read" ? true : { actor: "bo" }),
    clock,
    ...options,
  })
  const state = async (): Promise<RolloutState> => {
    const found = await readState(store, NAME)
    if (found === null) throw new Error("no state")
    return found
  }
  return {
    store,
    clock,
    handler,
    state,
    get: (path, headers = {}) => handler(new Request(`http://localhost${base}/${path}`, { headers })),
    async act(body, headers = {}) {
      const { revision, generation } = await state()
      return handler(
        new Request(`http://localhost${base}/api/${NAME}/act`, {
          method: "POST",
          headers: { ...PAGE_HEADERS, ...headers },
          body: JSON.stringify({ revision, generation, ...body }),
        }),
      )
    },
    apply: (event) => act(store, NAME, event, () => clock.now()),
    async report(report) {
      const { revision, generation } = await state()
      const at = clock.now()
      const whole = { format: "serin/report/1", rollout: NAME, revision, generation, at, verdict: null, diffs: [] }
      const current = await store.get(reportKey(NAME))
      await store.compareAndSet(reportKey(NAME), current?.revision ?? 0, JSON.stringify({ ...whole, ...report }))
    },
  }
}

export async function errorOf(response: Response): Promise<{ status: number; code: string; message: string }> {
  const { error } = (await response.json()) as { error: { code: string; message: string } }
  return { status: response.status, code: error.code, message: error.message }
}
