import { resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { nearest } from "../model/nearest.js"
import type { ReadStore, StateStore } from "../rollout/store.js"
import { fileStore } from "../stores/file.js"
import { usage } from "./command.js"
import type { Io } from "./io.js"

/** A store that a command was told of. */
export interface StoreAt {
  readonly store: StateStore
  /** The store's folder; null: it is in none. */
  readonly dir: string | null
  /** Without what is secret in it, for messages. */
  readonly shown: string
  /** Whether it can only be read: then what writes fails with `USAGE`, and the history is the newest revision. */
  readonly readOnly: boolean
  /** End its connections. */
  close(): void
}

interface Opened {
  readonly store: ReadStore | StateStore
  close(): unknown
}

const SCHEMES = ["file", "redis", "rediss", "etcd", "etcds", "http", "https"]
/** A letter alone is a drive, and no scheme. */
const SCHEME = /^([a-z][a-z0-9+.-]+):(?=\/\/)|^(file):/i

/** Open the store that a path or an address names. A driver is loaded when it is asked for. Throws `USAGE` and `LIBRARY_MISSING`. */
export async function storeAt(location: string, { cwd, env }: Pick<Io, "cwd" | "env">): Promise<StoreAt> {
  const [, before, file] = SCHEME.exec(location) ?? []
  const scheme = (before ?? file)?.toLowerCase()
  if (scheme === undefined) return folder(resolve(cwd, location), location)
  if (scheme === "file") return folder(pathOf(location, cwd), location)
  const shown = withoutSecrets(location)
  if (!SCHEMES.includes(scheme)) {
    const near = nearest(scheme, SCHEMES)
    const fix = near === undefined ? `there are ${SCHEMES.join(", ")}, and paths` : `did you mean ${near}:?`
    throw usage(`there is no store at ${shown}: ${scheme}: is unknown; ${fix}`)
  }
  const opened = await open(scheme, location, env).catch((error: unknown) => {
    // What a driver takes for a programmer's error is a slip of the pen here.
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error
    throw usage(`there is no store at ${shown}: ${error.message.replaceAll(location, shown)}`)
  })
  const { store } = opened
  const writable = "compareAndSet" in store
  return {
    store: writable ? store : readOnly(store, shown),
    dir: null,
    shown,
    readOnly: !writable,
    // Nobody waits for it: a server that does not answer must not keep a command from ending.
    close: () => void Promise.resolve(opened.close()).catch(() => {}),
  }
}

async function open(scheme: string, location: string, env: Io["env"]): Promise<Opened> {
  if (scheme.startsWith("redis")) {
    const { redisStore } = await import("../stores/redis.js")
    const store = redisStore({ url: location })
    return { store, close: () => store.close() }
  }
  if (scheme.startsWith("etcd")) {
    const { etcdStore } = await import("../stores/etcd.js")
    const store = etcdStore(etcdOptions(location))
    return { store, close: () => store.close() }
  }
  const { httpStore } = await import("../stores/http.js")
  const store = httpStore({ url: location, token: env["SERIN_TOKEN"] || undefined })
  return { store, close: () => store.close() }
}

function folder(dir: string, shown: string): StoreAt {
  return { store: fileStore({ dir }), dir, shown, readOnly: false, close: () => {} }
}

function pathOf(location: string, cwd: string): string {
  const rest = location.slice("file:".length)
  if (!rest.startsWith("//")) return resolve(cwd, rest)
  try {
    return fileURLToPath(location)
  } catch {
    throw usage(`${location} is no file on this machine; file:///absolute/path is one, and so is a path`)
  }
}

/** `etcd://name:password@host:2379,host:2379`. */
function etcdOptions(location: string) {
  const [, scheme, , who, hosts = ""] = /^(etcds?):\/\/((.*)@)?([^@/]+)\/?$/i.exec(location) ?? []
  if (scheme === undefined)
    throw new TypeError("it must be etcd:// or etcds://, and host:port, or some of them with commas between")
  const web = scheme.toLowerCase() === "etcds" ? "https" : "http"
  const endpoints = hosts.split(",").map((host) => `${web}://${host}`)
  if (who === undefined) return { endpoints }
  const [name = "", ...password] = who.split(":")
  return { endpoints, user: { name: decodeURIComponent(name), password: decodeURIComponent(password.join(":")) } }
}

/** An address for messages, histories of shells and logs. */
const withoutSecrets = (location: string): string =>
  location.replace(/^([^/]*:\/\/[^/@]*?):[^/]*@/, "$1:***@").replace(/\?.*$/s, "?***")

/** A store of which the newest revision can be read, in the place of one that can do more. */
function readOnly(store: ReadStore, shown: string): StateStore {
  const refuse = (): never => {
    throw usage(`${shown} can only be read; name the store behind it with --state`)
  }
  return {
    caps: store.caps,
    get: (key, options) => store.get(key, options),
    watch: (key, hint, options) => store.watch(key, hint, options),
    async *history(key, options) {
      const newest = await store.get(key, options)
      if (newest !== null) yield newest
    },
    list: async () => refuse(),
    compareAndSet: async () => refuse(),
    remove: async () => refuse(),
  }
}
