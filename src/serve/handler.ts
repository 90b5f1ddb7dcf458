import { isSerinError } from "../errors.js"
import { requireClock, systemClock, type Clock } from "../model/clock.js"
import { refuseUnknown, requireMethods, type KeysOf } from "../model/options.js"
import { ROLLOUT_NAME } from "../model/names.js"
import { isWritable, type ReadStore, type StateStore } from "../rollout/store.js"
import { isSegment } from "../stores/document.js"
import { accepts, documentAnswer, hasAlready, refusal, streamAnswer, unchanged } from "./answer.js"
import type { Access, Authorize } from "./bearer.js"
import { eventStream } from "./event-stream.js"
import { createHub } from "./hub.js"
import { lifetimeWithin } from "./lifetime.js"
import { longPoll } from "./long-poll.js"
import { publishing } from "./publish.js"
import { sharedReads } from "./reads.js"

/** Options of `storeHandler()`. */
export interface StoreHandlerOptions {
  /** What is served. Evidence is taken in when it can be written to. */
  readonly store: ReadStore | StateStore
  /** Who may. Default: everybody may read, and nobody may publish. */
  readonly authorize?: Authorize | undefined
  /** Time between two heartbeats of an event stream, ms, 100 to 10,000. Default 2,000, which is what clients count on. */
  readonly heartbeatMs?: number | undefined
  /** Longest wait that a client can ask for, ms, up to 55,000, below what proxies cut off at. Default 55,000. */
  readonly maxWaitMs?: number | undefined
  /** Streams and waits at once. Default 1,000. */
  readonly maxStreams?: number | undefined
  /** Told of what went wrong here; clients are not. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** Ends all streams and waits, and answers 503 from then on. */
  readonly signal?: AbortSignal | undefined
  readonly clock?: Clock | undefined
}

const OPTIONS: KeysOf<StoreHandlerOptions> = {
  store: true,
  authorize: true,
  heartbeatMs: true,
  maxWaitMs: true,
  maxStreams: true,
  onError: true,
  signal: true,
  clock: true,
}

/** Documents that may be read. Evidence is for the leader alone, which has the store. */
const DOCUMENTS = ["state", "leader", "report", "verdict"] as const
type DocumentName = (typeof DOCUMENTS)[number]

type Route =
  | { readonly to: "document"; readonly rollout: string; readonly name: DocumentName }
  | { readonly to: "events"; readonly rollout: string }
  | { readonly to: "evidence"; readonly rollout: string; readonly publisher: string }

/**
 * Make a web handler that serves a store: documents by ETag, changes by server-sent events or long poll, and evidence by PUT. It has no
 * server of its own: mount it, or give it to `listen`. It never rejects. Protocol: docs/reference/http.md.
 */
export function storeHandler(options: StoreHandlerOptions): (request: Request) => Promise<Response> {
  refuseUnknown("storeHandler", options, OPTIONS)
  const { store, authorize, heartbeatMs = 2000, maxWaitMs = 55_000, maxStreams = 1000, onError, signal } = options
  const { clock = systemClock } = options
  requireClock(clock)
  requireMethods("store", store, ["get", "watch"], "pass fileStore({ dir }) or another store")
  requireWhole("heartbeatMs", heartbeatMs, 100, 10_000)
  requireWhole("maxWaitMs", maxWaitMs, 0, 55_000)
  requireWhole("maxStreams", maxStreams, 1, 1_000_000)
  const lifetime = lifetimeWithin(signal)
  const read = sharedReads(store, clock)
  const hub = createHub(store, read, clock)
  const publish = isWritable(store) ? publishing(store, clock) : null
  let open = 0

  async function dispatch(request: Request): Promise<Response> {
    if (lifetime.aborted) return refusal(503, "UNAVAILABLE", "this server is going away", { "retry-after": "1" })
    const url = new URL(request.url)
    const route = routeOf(url.pathname)
    if (route === null) return refusal(404, "NOT_FOUND", "there is nothing at this address; see /v1/<rollout>/state")
    const methods = route.to !== "evidence" ? ["GET", "HEAD"] : publish === null ? [] : ["PUT"]
    if (!methods.includes(request.method)) {
      return refusal(405, "METHOD_NOT_ALLOWED", `this address takes ${methods.join(" and ") || "nothing"}`, {
        allow: methods.join(", "),
      })
    }
    const refused = await refuse(request, route.to === "evidence" ? "publish" : "read")
    if (refused !== null) return refused
    switch (route.to) {
      case "document":
        return answerDocument(request, url, route)
      case "events":
        return answerEvents(request, url, route.rollout)
      case "evidence":
        return publish === null ? refusal(405, "METHOD_NOT_ALLOWED", "read-only") : publish(request, route)
    }
  }

  async function refuse(request: Request, access: Access): Promise<Response | null> {
    const allowed = authorize === undefined ? access === "read" : await asked(authorize, request, access)
    if (allowed) return null
    if (request.headers.has("authorization") || authorize === undefined) {
      return refusal(403, "FORBIDDEN", `this is not allowed to ${access}`)
    }
    return refusal(401, "UNAUTHORIZED", "say who you are: Authorization: Bearer <token>", {
      "www-authenticate": "Bearer",
    })
  }

  async function asked(may: Authorize, request: Request, access: Access): Promise<boolean> {
    try {
      return (await may(request, access)) === true
    } catch (error) {
      tell(error)
      return false
    }
  }

  async function answerDocument(
    request: Request,
    url: URL,
    route: { rollout: string; name: string },
  ): Promise<Response> {
    const headOnly = request.method === "HEAD"
    if (!accepts(request, "application/json")) return refusal(406, "NOT_ACCEPTABLE", "a document is application/json")
    const key = `${route.rollout}/${route.name}`
    const wait = url.searchParams.get("wait")
    if (wait !== null && !/^\d{1,6}(\.\d{1,3})?$/.test(wait)) {
      return refusal(400, "BAD_REQUEST", "wait is a number of seconds")
    }
    const waitMs = Math.min(Number(wait ?? 0) * 1000, maxWaitMs)
    // Says that this server knows how to wait, also when it did not have to.
    const waited = wait === null ? {} : { "serin-wait": `${waitMs / 1000}` }
    const has = (found: Parameters<typeof hasAlready>[1]): boolean => hasAlready(request, found)
    if (waitMs === 0 || !request.headers.has("if-none-match")) return answer(await read(key))
    if (!hasRoom([key])) return full()
    open++
    try {
      return answer(await longPoll({ key, has, waitMs, hub, read, clock, signals: [lifetime, request.signal] }))
    } finally {
      open--
    }

    function answer(found: Awaited<ReturnType<typeof read>>): Response {
      return found !== null && has(found) ? unchanged(found, waited) : documentAnswer(found, headOnly, waited)
    }
  }

  function answerEvents(request: Request, url: URL, rollout: string): Response {
    if (!accepts(request, "text/event-stream")) return refusal(406, "NOT_ACCEPTABLE", "events are text/event-stream")
    const asked = url.searchParams.get("documents")?.split(",") ?? DOCUMENTS
    const names = DOCUMENTS.filter((name) => asked.includes(name))
    if (names.length === 0 || asked.some((name) => !isDocument(name))) {
      return refusal(400, "BAD_REQUEST", `documents is a list of ${DOCUMENTS.join(", ")}`)
    }
    if (request.method === "HEAD") return streamAnswer(null)
    const documents = names.map((name) => [name, `${rollout}/${name}`] as const)
    if (!hasRoom(documents.map(([, key]) => key))) return full()
    open++
    const signals = [lifetime, request.signal]
    return streamAnswer(eventStream({ documents, hub, read, clock, heartbeatMs, signals, onEnd: () => void open-- }))
  }

  /** Attack: names of rollouts that nobody has, each of which has the store watched. */
  function hasRoom(keys: readonly string[]): boolean {
    return open < maxStreams && hub.size() + keys.length <= Math.max(64, maxStreams)
  }

  const full = (): Response => refusal(503, "UNAVAILABLE", "too many streams are open", { "retry-after": "5" })

  function tell(error: unknown): void {
    try {
      onError?.(error)
    } catch {
      // A host's own fault; the answer is on its way.
    }
  }

  return async (request) => {
    try {
      return await dispatch(request)
    } catch (error) {
      tell(error)
      if (isSerinError(error)) {
        return refusal(503, "UNAVAILABLE", "the store behind this server does not answer", { "retry-after": "1" })
      }
      return refusal(500, "FAILED", "this server failed")
    }
  }
}

function routeOf(path: string): Route | null {
  const [, version, rollout = "", name = "", publisher, ...more] = path.split("/")
  if (version !== "v1" || !ROLLOUT_NAME.test(rollout) || more.length > 0) return null
  if (publisher !== undefined) {
    return name === "evidence" && isSegment(publisher) ? { to: "evidence", rollout, publisher } : null
  }
  if (name === "events") return { to: "events", rollout }
  return isDocument(name) ? { to: "document", rollout, name } : null
}

const isDocument = (name: string): name is DocumentName => (DOCUMENTS as readonly string[]).includes(name)

function requireWhole(option: string, value: number, from: number, to: number): void {
  if (!Number.isSafeInteger(value) || value < from || value > to) {
    throw new RangeError(`${option} must be a whole number from ${from} to ${to}, got ${value}`)
  }
}
