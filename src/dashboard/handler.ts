import { requireClock, systemClock, type Clock } from "../model/clock.js"
import { refuseUnknown, requireMethods, type KeysOf } from "../model/options.js"
import { withDeadlines } from "../controller/deadline.js"
import { ROLLOUT_NAME } from "../model/names.js"
import type { Actor } from "../rollout/state.js"
import { isWritable, type ReadStore, type StateStore } from "../rollout/store.js"
import { lifetimeWithin } from "../serve/lifetime.js"
import { sharedReads } from "../serve/reads.js"
import { admissionBy, type DashboardAuthorize } from "./admission.js"
import { answerOf, hardened, json, refuse } from "./answer.js"
import type { Explored } from "./disagreements.js"
import { readFields } from "./fields.js"
import { pageAnswer, readPage, type PageFile } from "./page-files.js"
import { rateLimit, type Rate } from "./rate-limit.js"
import type { Context, Route } from "./route.js"
import { routesOf } from "./routes.js"
import { approvalKeys } from "../notify/approval-token.js"
import type { ApprovalLinks } from "../notify/notify-people.js"
import { notTheSameOrigin } from "./same-origin.js"

/** Options of `dashboardHandler()`. */
export interface DashboardOptions {
  /** What is shown. Verbs need one that can be written to; give it the one that signs, where states are signed. */
  readonly store: ReadStore | StateStore
  /** The same store as it is, where `store` verifies or signs: a broken revision is written over there. Default: `store`. */
  readonly raw?: StateStore | undefined
  /** Names of the rollouts that are shown, and no others; a function is asked each time. */
  readonly rollouts: readonly string[] | (() => readonly string[] | Promise<readonly string[]>)
  /** Who may. Default: everybody may read, and nobody may act. */
  readonly authorize?: DashboardAuthorize | undefined
  /** Path under which this is mounted, where the server leaves it in the address: `/admin/serin`. Default: none. */
  readonly basePath?: string | undefined
  /** Names by which this server is called, with the port where there is one: others are refused. Default: any. */
  readonly hosts?: readonly string[] | undefined
  /** Tells clients apart, to limit how often each may ask; by default all are one. Behind a proxy: the address that it names. */
  readonly client?: ((request: Request) => string) | undefined
  /** A decision log, for calls of disagreements: they are shown to those who may act. */
  readonly log?: Explored["log"]
  /** Releases by version, to replay a call with. */
  readonly releases?: Explored["releases"]
  /** The secret of approval links, as who leads has it: `approvals` of `embed`. Default: there are none. */
  readonly approvals?: Pick<ApprovalLinks, "secret"> | undefined
  /** Told of what went wrong here; clients are not. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** Ends all streams, and answers 503 from then on. */
  readonly signal?: AbortSignal | undefined
  readonly clock?: Clock | undefined
}

const OPTIONS: KeysOf<DashboardOptions> = {
  store: true,
  raw: true,
  rollouts: true,
  authorize: true,
  basePath: true,
  hosts: true,
  client: true,
  log: true,
  releases: true,
  approvals: true,
  onError: true,
  signal: true,
  clock: true,
}

/** Of a client. Two hundred viewers behind one proxy come back at once after a restart. */
const READS: Rate = { burst: 1000, perSecond: 100 }
/** Of an actor: nobody decides faster. */
const ACTS: Rate = { burst: 10, perSecond: 0.5 }

/**
 * Make a web handler that shows rollouts as a page, and takes verbs from whoever `authorize` names. It has no server of its own: mount it,
 * or give it to `listen`. It never rejects. Addresses: docs/reference/dashboard.md. Throws `TypeError` and `RangeError` for wrong options.
 */
export function dashboardHandler(options: DashboardOptions): (request: Request) => Promise<Response> {
  refuseUnknown("dashboardHandler", options, OPTIONS)
  const { store, rollouts, authorize, onError, clock = systemClock, client = () => "" } = options
  requireClock(clock)
  requireMethods("store", store, ["get", "watch"], "pass fileStore({ dir }) or another store")
  const { basePath, hosts } = checked(options)
  const lifetime = lifetimeWithin(options.signal)
  const read = sharedReads(store, clock)
  const writable = isWritable(store) ? withDeadlines(store, clock, 2000) : null
  const context: Context = {
    read: { get: (key) => read(key) },
    stores: writable === null ? null : { store: writable, raw: options.raw, signs: options.raw !== undefined },
    clock,
    approvalKeys: options.approvals && approvalKeys(options.approvals.secret),
    explored: { log: options.log, releases: options.releases },
    watched: store,
    signal: lifetime,
    tell,
  }
  const admission = admissionBy(options.authorize, tell)
  const page = readPage()
  const routes = routesOf(context)
  const reads = rateLimit(READS, clock)
  const acts = rateLimit(ACTS, clock)

  async function dispatch(request: Request): Promise<Response> {
    if (lifetime.aborted) return refuse(503, "UNAVAILABLE", "this server is going away", { "retry-after": "1" })
    const url = new URL(request.url)
    if (hosts !== null && !hosts.has((request.headers.get("host") ?? "").toLowerCase())) {
      return refuse(421, "MISDIRECTED", "this server does not go by that name")
    }
    const path = withoutBase(url.pathname)
    if (path === null) return nothing()
    // Its own addresses are relative to the folder that it is in.
    if (path === "")
      return new Response(null, { status: 308, headers: { location: `${basePath.split("/").at(-1) ?? ""}/` } })
    const waitS = reads(client(request))
    if (waitS > 0) return tooMany(waitS)
    const file = page.get(path === "/" ? "index.html" : path.slice(1))
    if (file !== undefined) return answerFile(file, request)
    if (path === "/api/rollouts") return answerRollouts(request)
    const [, api, rollout = "", ...rest] = path.split("/")
    const found = routes.filter((route) => route.path === rest.join("/"))
    if (api !== "api" || found.length === 0) return nothing()
    const route = found.find(({ method }) => method === request.method)
    if (route === undefined) {
      const allow = found.map(({ method }) => method).join(", ")
      return refuse(405, "METHOD_NOT_ALLOWED", `this address takes ${allow}`, { allow })
    }
    return answerRoute(request, url, rollout, route)
  }

  async function answerRoute(request: Request, url: URL, rollout: string, route: Route): Promise<Response> {
    const { access } = route
    let actor: Actor | null = null
    if (access !== "own") {
      const admitted = await admission.admit(request, access)
      if (admitted instanceof Response) return admitted
      actor = admitted
    }
    if (access === "act") {
      const foreign = notTheSameOrigin(request)
      if (foreign !== null) return refuse(403, "CROSS_ORIGIN", `this is not the dashboard's own request: ${foreign}`)
      const waitS = acts(actor?.id ?? "")
      if (waitS > 0) return tooMany(waitS)
    }
    const posts = request.method === "POST"
    if (access === "own" && posts) {
      const waitS = acts(client(request))
      if (waitS > 0) return tooMany(waitS)
    }
    const body = posts ? await readFields(request, clock, access === "own") : {}
    if (body instanceof Response) return body
    // Not before it is known who asks: what there is, is told to whoever may read.
    if (!(await names()).includes(rollout)) return nothing()
    return await route.answer({ request, url, rollout, actor, body })
  }

  /** What this page's user sees, and in whose name they may act; `acts`: whether anybody may. */
  async function answerRollouts(request: Request): Promise<Response> {
    if (request.method !== "GET") return refuse(405, "METHOD_NOT_ALLOWED", "this address takes GET", { allow: "GET" })
    const admitted = await admission.admit(request, "read")
    if (admitted instanceof Response) return admitted
    const actor = context.stores === null ? null : await admission.actorOf(request)
    return json({ rollouts: await names(), actor, acts: authorize !== undefined && context.stores !== null })
  }

  async function names(): Promise<readonly string[]> {
    const given = typeof rollouts === "function" ? await rollouts() : rollouts
    return given.filter((name) => ROLLOUT_NAME.test(name))
  }

  function withoutBase(pathname: string): string | null {
    return pathname === basePath || pathname.startsWith(`${basePath}/`) ? pathname.slice(basePath.length) : null
  }

  function tell(error: unknown): void {
    try {
      onError?.(error)
    } catch {
      // A host's own fault; the answer is on its way.
    }
  }

  return async (request) => {
    try {
      return hardened(await dispatch(request))
    } catch (error) {
      const answer = answerOf(error)
      if (answer === null || answer.status >= 500) tell(error)
      return hardened(answer ?? refuse(500, "FAILED", "this server failed"))
    }
  }
}

const nothing = (): Response => refuse(404, "NOT_FOUND", "there is nothing at this address")

const tooMany = (waitS: number): Response =>
  refuse(429, "TOO_MANY", `too many requests; try again in ${waitS} s`, { "retry-after": `${waitS}` })

function answerFile(file: PageFile, request: Request): Response {
  const { method } = request
  if (method === "GET" || method === "HEAD") return pageAnswer(file, request)
  return refuse(405, "METHOD_NOT_ALLOWED", "this address takes GET and HEAD", { allow: "GET, HEAD" })
}

function checked({ rollouts, basePath = "", hosts }: DashboardOptions) {
  if (typeof rollouts !== "function" && !Array.isArray(rollouts)) {
    throw new TypeError(`rollouts must name what is shown, like ["refund-agent"], got ${JSON.stringify(rollouts)}`)
  }
  const wrong = typeof rollouts === "function" ? undefined : rollouts.find((name) => !ROLLOUT_NAME.test(name))
  if (wrong !== undefined) throw new RangeError(`rollouts has ${JSON.stringify(wrong)}, which cannot name a rollout`)
  if (basePath !== "" && !/^(\/[\w.~-]+)+$/.test(basePath)) {
    throw new RangeError(
      `basePath must be like "/admin/serin", without a slash at its end, got ${JSON.stringify(basePath)}`,
    )
  }
  return { basePath, hosts: hosts === undefined ? null : new Set(hosts.map((host) => host.toLowerCase())) }
}
