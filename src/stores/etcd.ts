import type { SecureContextOptions } from "node:tls"
import { SerinError } from "../errors.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import type { StateStore } from "../rollout/store.js"
import { callSafely, checkKeep, checkWrite, keySegments, refuseAborted, versioned } from "./document.js"
import { etcdGateway } from "./etcd-gateway.js"
import { EtcdError, GRPC } from "./etcd-http.js"
import { deleteRange, ifVersion, keysOf, outcomeOf, put, range } from "./etcd-message.js"
import type { KeyValue } from "./etcd-message.js"
import { ambiguous, checkTimeout, refused, withPatience } from "./patience.js"
import type { Advice, Patience } from "./patience.js"

/** Options of `etcdStore()`. */
export interface EtcdStoreOptions {
  /** Addresses of the cluster's members, `http://host:2379` or `https://…`; one that does not answer is left for the next. */
  readonly endpoints: readonly string[]
  /** First part of all keys in the cluster. Default `serin/`. */
  readonly prefix?: string | undefined
  /** Revisions of each document that are kept, 2 or more. Default 1,000. */
  readonly keep?: number | undefined
  /** Longest wait for one answer, ms. Default 2,000. */
  readonly timeoutMs?: number | undefined
  /** Who asks, where the cluster has its own users. */
  readonly user?: { readonly name: string; readonly password: string } | undefined
  /** For a proxy that wants them. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Certificates, as `tls.createSecureContext` takes them: `{ ca, cert, key }`. */
  readonly tls?: SecureContextOptions | undefined
}

/** A store that holds connections. */
export interface EtcdStore extends StateStore {
  /** End the connections; what is asked later fails. Not needed for the process to end. */
  close(): Promise<void>
}

const ETCD_KEYS: KeysOf<EtcdStoreOptions> = {
  endpoints: true,
  prefix: true,
  keep: true,
  timeoutMs: true,
  user: true,
  headers: true,
  tls: true,
}

/**
 * Largest document, bytes: etcd takes requests up to 1.5 MiB as it comes, and a write brings the text twice, as the document and as its
 * history.
 */
const MAX_BYTES = 700 * 1024
/** Revisions that one question of a history brings. */
const PAGE = 20

/** Answers that say that nothing was done. */
const NOTHING_DONE: readonly number[] = [
  GRPC.invalidArgument,
  GRPC.permissionDenied,
  GRPC.resourceExhausted,
  GRPC.failedPrecondition,
  GRPC.unauthenticated,
]

/**
 * Keep documents in etcd 3.4 or newer, through its JSON gateway. The version of the key `<prefix>documents/<key>` is the revision;
 * history is keys of its own, so that compaction takes none of it: docs/decisions/0025-etcd-layout.md.
 */
export function etcdStore(options: EtcdStoreOptions): EtcdStore {
  const { server, prefix, keep, timeoutMs, gateway } = resolve(options)
  let closed = false

  const documentOf = (key: string): string => `${prefix}documents/${keySegments(key).join("/")}`
  // "@" and "A", which follows it, are no part of a key, so no document's history lies in another's.
  const historyOf = (key: string): string => `${prefix}history/${key}`
  const pastOf = (key: string, revision: number): string => `${historyOf(key)}@${String(revision).padStart(16, "0")}`

  function patiently<T>(signal: AbortSignal | undefined, work: (patience: Patience) => Promise<T>): Promise<T> {
    refuseAborted(signal)
    if (closed) throw new SerinError("STORE_UNAVAILABLE", `${server}: the store was closed`)
    return withPatience(timeoutMs, signal, work)
  }

  async function read(
    signal: AbortSignal | undefined,
    question: { readonly key: string; readonly end?: string; readonly keysOnly?: boolean },
  ): Promise<readonly KeyValue[]> {
    const message = { ...range(question), keys_only: question.keysOnly === true }
    return patiently(signal, async (patience) => keysOf(await gateway.ask(patience, "/v3/kv/range", message))).catch(
      (error: unknown) => {
        throw refused(server, error, adviceOn(error))
      },
    )
  }

  async function write(signal: AbortSignal | undefined, message: object): Promise<ReturnType<typeof outcomeOf>> {
    return patiently(signal, async (patience) => {
      let sent = false
      const tell = (): void => void (sent = true)
      try {
        return outcomeOf(await gateway.once(patience, tell, "/v3/kv/txn", message))
      } catch (error) {
        const nothingDone = !sent || (error instanceof EtcdError && NOTHING_DONE.includes(error.code))
        throw nothingDone ? refused(server, error, adviceOn(error)) : ambiguous(server, error)
      }
    })
  }

  const versionOf = ({ version, text }: KeyValue) => versioned(version, text)

  return {
    caps: { push: true, linearizable: true, ack: "replicated", maxBytes: MAX_BYTES },

    async get(key, options) {
      const [found] = await read(options?.signal, { key: documentOf(key) })
      return found === undefined ? null : versionOf(found)
    },

    async compareAndSet(key, expectedRevision, envelope, options) {
      const document = documentOf(key)
      checkWrite(expectedRevision, envelope, MAX_BYTES, options)
      const next = expectedRevision + 1
      const oldest = Math.max(1, next - (options?.keep ?? keep) + 1)
      const outcome = await write(
        options?.signal,
        ifVersion(document, expectedRevision, [
          put(document, envelope),
          put(pastOf(key, next), envelope),
          deleteRange({ key: pastOf(key, 0), end: pastOf(key, oldest) }),
        ]),
      )
      const [current] = outcome.found
      return outcome.succeeded
        ? { ok: true }
        : { ok: false, current: current === undefined ? null : versionOf(current) }
    },

    watch(key, hint, { signal }) {
      gateway.watch(documentOf(key), (found) => callSafely(hint, found && versionOf(found)), signal)
    },

    async *history(key, options) {
      const [newest] = await read(options?.signal, { key: documentOf(key) })
      for (let last = newest?.version ?? 0; last > 0; last -= PAGE) {
        const first = Math.max(1, last - PAGE + 1)
        const page = await read(options?.signal, { key: pastOf(key, first), end: pastOf(key, last + 1) })
        for (const { key: name, text } of page.toReversed()) yield versioned(Number(name.slice(-16)), text)
        if (page.length === 0) return
      }
    },

    async list(under, options) {
      const document = documentOf(under)
      const found = await read(options?.signal, { key: `${document}/`, end: `${document}0`, keysOnly: true })
      return found.map(({ key }) => key.slice(`${prefix}documents/`.length))
    },

    async remove(key, options) {
      const document = documentOf(key)
      const history = { key: `${historyOf(key)}@`, end: `${historyOf(key)}A` }
      await write(options?.signal, { success: [deleteRange({ key: document }), deleteRange(history)] })
    },

    async close() {
      closed = true
      gateway.close()
    },
  }
}

/** What to do about an answer, or about none. */
function adviceOn(error: unknown): Advice {
  if (!(error instanceof EtcdError)) return { fix: "check that the cluster runs and that the endpoints are right" }
  if (error.code === GRPC.permissionDenied) {
    return { code: "STORE_UNAUTHORIZED", fix: "give this user the role that docs/reference/stores/etcd.md lists" }
  }
  if (error.code === GRPC.unauthenticated || /user name|user ID|password/.test(error.message)) {
    return { code: "STORE_UNAUTHORIZED", fix: "check the user and the password" }
  }
  return error.code === 0 ? { fix: "is this the address of etcd, version 3.4 or newer?" } : {}
}

function resolve(options: EtcdStoreOptions) {
  refuseUnknown("etcdStore", options, ETCD_KEYS)
  const { endpoints, prefix = "serin/", keep = 1000, timeoutMs = 2000, user, headers = {}, tls = {} } = options
  const rule = 'endpoints must be addresses as "http://localhost:2379", without a path'
  if (!Array.isArray(endpoints) || endpoints.length === 0) throw new TypeError(`${rule}, one or more`)
  const urls = (endpoints as readonly string[]).map((endpoint) => {
    const url = URL.canParse(endpoint) ? new URL(endpoint) : null
    if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search !== "") {
      throw new TypeError(`${rule}, got ${JSON.stringify(endpoint)}`)
    }
    return url
  })
  checkKeep(keep)
  checkTimeout("timeoutMs", timeoutMs)
  const gateway = etcdGateway({ endpoints: urls, tls, headers, user, timeoutMs })
  return { server: urls.map(({ host }) => host).join(", "), prefix, keep, timeoutMs, gateway }
}
