import { createRequire } from "node:module"
import type { Redis, RedisOptions } from "ioredis"
import { libraryMissing } from "../errors.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { checkKeep } from "./document.js"
import { checkTimeout } from "./patience.js"

/** Options of `redisStore()`. */
export interface RedisStoreOptions {
  /** `redis://user:password@host:6379/0`, or `rediss://` for TLS. */
  readonly url?: string | undefined
  /**
   * What ioredis connects with: `{ host, port, username, password, tls, sentinels, name, … }`. How it tries again, what it queues and
   * how long it waits is the store's to say, and is not taken from here.
   */
  readonly connection?: RedisOptions | undefined
  /** First part of all names in the server. Default `serin:`. */
  readonly prefix?: string | undefined
  /** Revisions of each document that are kept, 2 or more. Default 1,000. */
  readonly keep?: number | undefined
  /** Longest wait for one answer, ms. Default 2,000. */
  readonly timeoutMs?: number | undefined
  /** Wait until so many replicas have a write; one that fewer have in time is `STORE_AMBIGUOUS`. */
  readonly wait?: { readonly replicas: number; readonly timeoutMs: number } | undefined
}

const REDIS_KEYS: KeysOf<RedisStoreOptions> = {
  url: true,
  connection: true,
  prefix: true,
  keep: true,
  timeoutMs: true,
  wait: true,
}

/** Read what says where the server is, and make what connects to it. Throws `TypeError`, `RangeError` and `LIBRARY_MISSING`. */
export function resolveRedis(options: RedisStoreOptions) {
  refuseUnknown("redisStore", options, REDIS_KEYS)
  const { url, connection = {}, prefix = "serin:", keep = 1000, timeoutMs = 2000, wait } = options
  if (url === undefined && options.connection === undefined) {
    throw new TypeError('redisStore needs url, as "redis://localhost:6379", or connection, the options of ioredis')
  }
  if (url !== undefined && !(URL.canParse(url) && /^rediss?:\/\/[^?]+$/.test(url))) {
    throw new TypeError('url must be "redis://" or "rediss://" and an address without "?"; options go into connection')
  }
  if (typeof prefix !== "string" || /[{}]/.test(prefix)) throw new TypeError("prefix must be a text without { and }")
  checkKeep(keep)
  checkTimeout("timeoutMs", timeoutMs)
  if (wait !== undefined) {
    checkTimeout("wait.timeoutMs", wait.timeoutMs)
    if (!Number.isInteger(wait.replicas) || wait.replicas < 1) {
      throw new RangeError(`wait.replicas must be a whole number >= 1, got ${wait.replicas}`)
    }
    if (wait.timeoutMs >= timeoutMs) {
      throw new RangeError(`wait.timeoutMs must be below timeoutMs (${timeoutMs}), got ${wait.timeoutMs}`)
    }
  }
  const Client = requireRedis()
  const own = {
    ...connection,
    connectTimeout: timeoutMs,
    lazyConnect: true,
    enableReadyCheck: false,
    // Nothing is kept for later, and nothing is sent twice.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    retryStrategy: null,
    reconnectOnError: null,
    maxRetriesPerRequest: null,
    enableAutoPipelining: false,
    keyPrefix: "",
    replyMapping: "legacy" as const,
    disableClientInfo: true,
    connectionName: connection.connectionName ?? "serin",
  } satisfies RedisOptions
  const make = (): Redis => (url === undefined ? new Client(own) : new Client(url, own))
  return {
    server: url === undefined ? (connection.host ?? "redis") : new URL(url).host,
    prefix,
    keep,
    timeoutMs,
    wait,
    make,
  }
}

/** Looked for when a store is made, so that nothing is missing at the first read. */
function requireRedis(): typeof Redis {
  try {
    return (createRequire(import.meta.url)("ioredis") as { readonly Redis: typeof Redis }).Redis
  } catch (cause) {
    throw libraryMissing("redisStore()", "ioredis", "ioredis@6", cause)
  }
}
