import { mkdirSync, readdirSync, readFileSync, renameSync, watch, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Redis } from "ioredis"
import type { StateStore } from "serin"
import { fileStore } from "../../src/stores/file.js"
import { etcdStore } from "../../src/stores/etcd.js"
import { redisStore } from "../../src/stores/redis.js"

export const STORES = ["file", "redis", "etcd"] as const
export type StoreName = (typeof STORES)[number]

/** A store at a place: a folder, or the port of a server on loopback. */
export function storeAt(name: StoreName, place: string): StateStore {
  if (name === "file") return fileStore({ dir: join(place, "serin") })
  if (name === "redis") return redisStore({ url: `redis://127.0.0.1:${place}` })
  return etcdStore({ endpoints: [`http://127.0.0.1:${place}`] })
}

/** As long as a state is, so that reading it takes as long. */
const DOCUMENT = "x".repeat(2000)

/**
 * Be told by the bare client that a document changed, and read it, as one would by hand: with nothing of the library in between. Resolves
 * when it listens.
 */
export async function listenBare(name: StoreName, place: string, heard: () => void): Promise<void> {
  if (name === "file") {
    const folder = join(place, "bare")
    mkdirSync(folder, { recursive: true })
    let last = ""
    watch(folder, () => {
      const newest = readdirSync(folder).filter(isDocument).sort().at(-1) ?? ""
      if (newest === last) return
      last = newest
      if (readFileSync(join(folder, newest), "utf8") === DOCUMENT) heard()
    })
    return
  }
  if (name === "redis") {
    const reader = new Redis(Number(place), "127.0.0.1")
    const listener = new Redis(Number(place), "127.0.0.1")
    listener.on("message", () => void reader.get("bare").then((text) => text === DOCUMENT && heard()))
    await listener.subscribe("bare")
    return
  }
  // An event of etcd brings the document.
  const answer = await post(place, "watch", { create_request: { key: BARE } })
  const decoder = new TextDecoder()
  void (async () => {
    for await (const chunk of answer.body ?? []) if (decoder.decode(chunk).includes('"events"')) heard()
  })()
}

/** Make what writes the document that those who listen bare are to hear of, by the bare client. */
export function tellBare(name: StoreName, place: string): () => Promise<void> {
  let n = 0
  if (name === "file") {
    const folder = join(place, "bare")
    return async () => {
      writeFileSync(join(folder, "next"), DOCUMENT)
      renameSync(join(folder, "next"), join(folder, `${String(n++).padStart(6, "0")}.txt`))
    }
  }
  if (name === "redis") {
    const client = new Redis(Number(place), "127.0.0.1")
    return async () => void (await client.multi().set("bare", DOCUMENT).publish("bare", "").exec())
  }
  const value = Buffer.from(DOCUMENT).toString("base64")
  return async () => void (await (await post(place, "kv/put", { key: BARE, value })).text())
}

const BARE = Buffer.from("bare").toString("base64")

const isDocument = (file: string): boolean => file.endsWith(".txt")

const post = (port: string, what: string, body: unknown): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}/v3/${what}`, { method: "POST", body: JSON.stringify(body) })
