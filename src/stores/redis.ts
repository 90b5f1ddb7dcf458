import type { Redis } from "ioredis"
import { SerinError } from "../errors.js"
import { MAX_REVISION } from "../rollout/store.js"
import type { StateStore, Versioned } from "../rollout/store.js"
import { checkWrite, keySegments, MAX_DOCUMENT_BYTES, refuseAborted, versioned } from "./document.js"
import { ambiguous, refused, withPatience } from "./patience.js"
import type { Advice, Patience } from "./patience.js"
import { redisHints } from "./redis-hints.js"
import { isReply, openRedis, redisLine } from "./redis-line.js"
import { resolveRedis } from "./redis-options.js"
import type { RedisStoreOptions } from "./redis-options.js"
import { COMPARE_AND_SET, FIELD, REMOVE } from "./redis-script.js"
import { codeOf } from "./system-error.js"

export type { RedisStoreOptions } from "./redis-options.js"

/** A store that holds connections. */
export interface RedisStore extends StateStore {
  /** End the connections; what is asked later fails. Not needed for the process to end. */
  close(): Promise<void>
}

/** Revisions that one question of a history brings. */
const PAGE = 10
const TAKE_OUT = "take it out with XDEL, and XSETID to the entry before it: docs/reference/stores.md"
const ENTRY_ID = /^([1-9]\d{0,15})-0$/

type Entry = readonly [id: string, fields: readonly string[]]

/**
 * Keep documents in Redis 6.2 or newer, as streams: `<prefix>{<rollout>}/state`. The store makes its connections itself, with
 * ioredis, because it must own how they fail: see docs/decisions/0024-redis-client.md. Throws `LIBRARY_MISSING` without the optional
 * package `ioredis`.
 */
export function redisStore(options: RedisStoreOptions): RedisStore {
  const { server, prefix, keep, timeoutMs, wait, make } = resolveRedis(options)
  const closing = new AbortController()
  const open = (): Promise<Redis> => openRedis(make, timeoutMs, closing.signal)
  const reader = redisLine(open)
  const writer = redisLine(open)
  const hints = redisHints(open, closing.signal)

  /** Names of one rollout lie in one slot of a cluster. */
  function namesOf(key: string): { readonly stream: string; readonly index: string } {
    const [rollout = "", ...rest] = keySegments(key)
    const tagged = `${prefix}{${rollout}}`
    return { stream: [tagged, ...rest].join("/"), index: `${tagged}@keys` }
  }

  function patiently<T>(signal: AbortSignal | undefined, work: (patience: Patience) => Promise<T>): Promise<T> {
    refuseAborted(signal)
    refuseClosed()
    return withPatience(timeoutMs, signal, work)
  }

  function refuseClosed(): void {
    if (closing.signal.aborted) throw new SerinError("STORE_UNAVAILABLE", `${server}: the store was closed`)
  }

  async function read<T>(signal: AbortSignal | undefined, question: (client: Redis) => Promise<T>): Promise<T> {
    return patiently(signal, (patience) => reader.ask(patience, question)).catch((error: unknown) => {
      throw refused(server, error, adviceOn(error))
    })
  }

  /** Run a script that writes, unless it arrives when its caller has given up. */
  function write(signal: AbortSignal | undefined, script: string, names: readonly string[], args: readonly unknown[]) {
    return patiently(signal, async (patience) => {
      let sent = false
      try {
        // Also asks whether the connection lives: what follows cannot be asked twice.
        const now = serverTimeMs(await writer.ask(patience, (client) => client.time()))
        const deadline = now + patience.remainingMs()
        const answer = await writer.once(
          patience,
          () => (sent = true),
          async (client) => {
            const values = [...args, deadline].map(String)
            const [outcome, entry] = (await client.eval(script, names.length, ...names, ...values)) as [string, Entry?]
            const confirmed = outcome === "written" && wait !== undefined ? await confirm(client, wait) : undefined
            return { outcome, entry, confirmed }
          },
        )
        if (answer.outcome === "late") throw new SerinError("STORE_UNAVAILABLE", `${server}: the write came too late`)
        if (answer.confirmed === false) throw new Error(`fewer than ${wait?.replicas} replicas confirmed it`)
        return answer
      } catch (error) {
        if (error instanceof SerinError) throw error
        // A replica refuses to write: whoever was the primary is it no more.
        if (isReply(error)) writer.drop()
        throw sent && !isReply(error) ? ambiguous(server, error) : refused(server, error, adviceOn(error))
      }
    })
  }

  function versionOf([id, [field, envelope]]: Entry): Versioned {
    const revision = Number(ENTRY_ID.exec(id)?.[1])
    // Above the highest one there is none that could follow.
    if (!(revision < MAX_REVISION) || field !== FIELD || envelope === undefined) {
      throw new SerinError("STORE_UNAVAILABLE", `${server}: entry ${id} was not written by this store; ${TAKE_OUT}`)
    }
    return versioned(revision, envelope)
  }

  return {
    // An acknowledged write can be lost when another server takes over.
    caps: { push: true, linearizable: false, ack: wait ? "replicated" : "async", maxBytes: MAX_DOCUMENT_BYTES },

    async get(key, options) {
      const { stream } = namesOf(key)
      const [newest] = await read(options?.signal, (client) => client.xrevrange(stream, "+", "-", "COUNT", 1))
      return newest === undefined ? null : versionOf(newest)
    },

    async compareAndSet(key, expectedRevision, envelope, options) {
      const { stream, index } = namesOf(key)
      checkWrite(expectedRevision, envelope, MAX_DOCUMENT_BYTES, options)
      const args = [expectedRevision, envelope, options?.keep ?? keep, key]
      const { outcome, entry } = await write(options?.signal, COMPARE_AND_SET, [stream, index], args)
      return outcome === "written" ? { ok: true } : { ok: false, current: entry ? versionOf(entry) : null }
    },

    watch(key, hint, { signal }) {
      hints.add(namesOf(key).stream, hint, signal)
    },

    async *history(key, options) {
      const { stream } = namesOf(key)
      for (let from = "+"; ;) {
        const page = await read(options?.signal, (client) => client.xrevrange(stream, from, "-", "COUNT", PAGE))
        const versions = page.map(versionOf)
        for (const version of versions) yield version
        const last = versions.at(-1)?.revision ?? 1
        if (last === 1) return
        from = `${last - 1}-0`
      }
    },

    async list(under, options) {
      const { index } = namesOf(under)
      // "0" follows "/".
      return read(options?.signal, (client) => client.zrangebylex(index, `[${under}/`, `(${under}0`))
    },

    async remove(key, options) {
      const { stream, index } = namesOf(key)
      await write(options?.signal, REMOVE, [stream, index], [key])
    },

    async close() {
      closing.abort()
      reader.drop()
      writer.drop()
    },
  }
}

const serverTimeMs = ([seconds, micros]: readonly (string | number)[]): number =>
  Number(seconds) * 1000 + Number(micros) / 1000

async function confirm(
  client: Redis,
  wait: { readonly replicas: number; readonly timeoutMs: number },
): Promise<boolean> {
  return (await client.wait(wait.replicas, wait.timeoutMs)) >= wait.replicas
}

/** What to do about an error of the server, or about none of its answers. */
function adviceOn(error: unknown): Advice {
  const text = error instanceof Error ? `${codeOf(error) ?? ""} ${error.message}` : ""
  return ADVICE.find(([pattern]) => pattern.test(text))?.[1] ?? {}
}

const ADVICE: readonly (readonly [RegExp, Advice])[] = [
  [/ECONNREFUSED|ENOTFOUND|EHOSTUNREACH/, { fix: "check that the server runs and that its address is right" }],
  [/NOAUTH|WRONGPASS/, { code: "STORE_UNAUTHORIZED", fix: "check the user and the password" }],
  [
    /NOPERM/,
    { code: "STORE_UNAUTHORIZED", fix: "give this user the rights that docs/reference/stores/redis.md lists" },
  ],
  [/READONLY/, { fix: "this is a replica: connect to the primary, or name the sentinels" }],
  [
    /MOVED|CROSSSLOT|CLUSTERDOWN/,
    { fix: "this server of a cluster has not the rollout's slot: name a proxy, or the one that has it" },
  ],
  [/equal or smaller/, { fix: TAKE_OUT }],
  [/OOM/, { fix: "the server's memory is full: make room" }],
]
