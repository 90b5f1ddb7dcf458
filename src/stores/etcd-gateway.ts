import { setMaxListeners } from "node:events"
import { Agent as AgentHttp } from "node:http"
import { Agent as AgentHttps } from "node:https"
import type { SecureContextOptions } from "node:tls"
import { EtcdError, exchange, GRPC, stream } from "./etcd-http.js"
import type { EtcdRequest } from "./etcd-http.js"
import { fieldsOf, watchKey, writtenIn } from "./etcd-message.js"
import type { KeyValue } from "./etcd-message.js"
import { backOff, lessPatience, pause, withPatience } from "./patience.js"
import type { Patience } from "./patience.js"

export interface GatewayOptions {
  /** Addresses of the members, without a path. */
  readonly endpoints: readonly URL[]
  readonly tls: SecureContextOptions
  readonly headers: Readonly<Record<string, string>>
  readonly user: { readonly name: string; readonly password: string } | undefined
  readonly timeoutMs: number
}

type KeyHint = (found?: KeyValue) => void

export interface EtcdGateway {
  /** Ask what may be asked twice: of a member that does not answer in time, then of the others, each on a new connection. */
  ask(patience: Patience, path: string, message: object): Promise<unknown>
  /** Do what must not be done twice, on a connection of its own. `sent` is called when the server may have it. */
  once(patience: Patience, sent: () => void, path: string, message: object): Promise<unknown>
  /** Call `hint` when the key changes, with what it has become, and without whenever a change may have been missed. */
  watch(key: string, hint: KeyHint, signal: AbortSignal): void
  close(): void
}

/** Longest wait for a member while there is another one to ask, or another connection, ms. */
const STALL_MS = 700
/** Silence after which a watch is made anew, ms: behind a proxy nothing else tells that its connection is dead. */
const WATCH_IDLE_MS = 30_000

export function etcdGateway(options: GatewayOptions): EtcdGateway {
  const { endpoints, tls, headers, user, timeoutMs } = options
  const lifetime = new AbortController()
  // One for each watch, and nobody knows how many those will be.
  setMaxListeners(0, lifetime.signal)
  const watches = new Set<AbortController>()
  let token: string | undefined
  /** The member that answered last. */
  let current = 0
  let agents = endpoints.map(agentFor)

  const requestTo = (member: number, path: string, message: object, signal: AbortSignal): EtcdRequest => {
    const url = new URL(path, endpoints[member])
    const authorization: Record<string, string> = token === undefined ? {} : { authorization: token }
    return { url, message, headers: { ...headers, ...authorization }, tls, agent: agents[member] ?? false, signal }
  }

  /** A connection that was idle can be dead. So are, then, all others to where it led. */
  function suspect(member: number, used: AgentHttp | undefined): void {
    if (agents[member] !== used) return
    used?.destroy()
    agents = agents.map((agent, i) => (i === member ? agentFor(endpoints[i]) : agent))
    for (const watch of watches) watch.abort()
  }

  async function ask(patience: Patience, path: string, message: object): Promise<unknown> {
    // The member that is current gets a second chance, on a new connection.
    const members = [current, ...endpoints.map((_, i) => (current + i) % endpoints.length)]
    for (const [i, member] of members.entries()) {
      const isLast = i === members.length - 1
      const used = agents[member]
      try {
        const answer = await lessPatience(patience, isLast ? timeoutMs : STALL_MS, ({ signal }) =>
          exchange(requestTo(member, path, message, signal)),
        )
        current = member
        return answer
      } catch (error) {
        if (isLast || patience.signal.aborted || isFinal(error)) throw error
        if (!(error instanceof EtcdError)) suspect(member, used)
      }
    }
    throw new Error("no endpoint")
  }

  async function once(patience: Patience, sent: () => void, path: string, message: object): Promise<unknown> {
    for (let i = 0; ; i++) {
      const isLast = i === endpoints.length - 1
      const attempt = patienceToConnect(patience.signal, isLast ? timeoutMs : STALL_MS)
      let isSent = false
      const arrived = (): void => {
        attempt.connected()
        isSent = true
        sent()
      }
      try {
        const request = requestTo((current + i) % endpoints.length, path, message, attempt.signal)
        return await exchange({ ...request, agent: false, sent: arrived })
      } catch (error) {
        if (isSent || isLast || patience.signal.aborted) throw error
      } finally {
        attempt.end()
      }
    }
  }

  /** With a token, where a user is named; one that is not good any more is replaced once. */
  async function authenticated<T>(patience: Patience, work: () => Promise<T>): Promise<T> {
    if (user === undefined) return work()
    if (token === undefined) token = await authenticate(patience)
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof EtcdError) || error.code !== GRPC.unauthenticated) throw error
      token = await authenticate(patience)
      return work()
    }
  }

  async function authenticate(patience: Patience): Promise<string> {
    token = undefined
    const answer = fieldsOf(await ask(patience, "/v3/auth/authenticate", user ?? {}))["token"]
    if (typeof answer !== "string") throw new Error("etcd gave no token")
    return answer
  }

  async function watchOnce(member: number, key: string, hint: KeyHint, signal: AbortSignal): Promise<void> {
    const watch = new AbortController()
    const end = (): void => watch.abort(new Error("the watch is over"))
    const idle = setTimeout(end, WATCH_IDLE_MS).unref()
    signal.addEventListener("abort", end, { once: true })
    watches.add(watch)
    try {
      if (user !== undefined && token === undefined) {
        token = await withPatience(timeoutMs, signal, (patience) => authenticate(patience))
      }
      const request = { ...requestTo(member, "/v3/watch", watchKey(key), watch.signal), agent: false } as const
      for await (const message of stream(request)) {
        const { result } = fieldsOf(message)
        const { canceled } = fieldsOf(result)
        // Compacted, not permitted, or no message at all: from now on again.
        if (result === undefined || canceled === true) return void (token = undefined)
        idle.refresh()
        // Also when it begins: nobody knows what was written before.
        hint(writtenIn(result))
      }
    } finally {
      clearTimeout(idle)
      watches.delete(watch)
      signal.removeEventListener("abort", end)
      end()
    }
  }

  async function watchOn(key: string, hint: KeyHint, signal: AbortSignal): Promise<void> {
    const wait = backOff()
    for (let member = current; !signal.aborted; member = (member + 1) % endpoints.length) {
      const heard: KeyHint = (found) => {
        wait.reset()
        hint(found)
      }
      await watchOnce(member, key, heard, signal).catch(() => {})
      await pause(wait.next(), signal)
    }
  }

  return {
    ask: (patience, path, message) => authenticated(patience, () => ask(patience, path, message)),
    once: (patience, sent, path, message) => authenticated(patience, () => once(patience, sent, path, message)),
    watch(key, hint, signal) {
      if (signal.aborted || lifetime.signal.aborted) return
      const stop = new AbortController()
      const end = (): void => {
        lifetime.signal.removeEventListener("abort", end)
        stop.abort()
      }
      signal.addEventListener("abort", end, { once: true })
      lifetime.signal.addEventListener("abort", end, { once: true })
      void watchOn(key, (found) => void (stop.signal.aborted || hint(found)), stop.signal)
    },
    close() {
      lifetime.abort()
      for (const agent of agents) agent?.destroy()
    },
  }
}

/** A caller's patience, of which only so much, ms, is for a connection. */
function patienceToConnect(caller: AbortSignal, ms: number) {
  const own = new AbortController()
  const giveUp = (): void => own.abort(caller.reason)
  const timer = setTimeout(() => own.abort(new Error(`no connection within ${ms} ms`)), ms)
  if (caller.aborted) giveUp()
  caller.addEventListener("abort", giveUp, { once: true })
  return {
    signal: own.signal,
    connected: () => clearTimeout(timer),
    end() {
      clearTimeout(timer)
      caller.removeEventListener("abort", giveUp)
    },
  }
}

const agentFor = (endpoint: URL | undefined): AgentHttp =>
  new (endpoint?.protocol === "https:" ? AgentHttps : AgentHttp)({ keepAlive: true, maxFreeSockets: 2 })

/** Answers that another member would give as well: a question that is wrong, and one that this user may not ask. */
const isFinal = (error: unknown): boolean => error instanceof EtcdError && FINAL.includes(error.code)
const FINAL: readonly number[] = [
  GRPC.invalidArgument,
  GRPC.permissionDenied,
  GRPC.failedPrecondition,
  GRPC.unauthenticated,
]
