import { readdirSync, renameSync, watch, writeFileSync } from "node:fs"
import { mkdirSync } from "node:fs"
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

/** Be told by the bare client of the same thing, with nothing of the library in between. Resolves when it listens. */
export async function listenBare(name: StoreName, place: string, heard: () => void): Promise<void> {
  if (name === "file") {
    mkdirSync(join(place, "bare"), { recursive: true })
    let last = ""
    watch(join(place, "bare"), () => {
      const newest =
        readdirSync(join(place, "bare"))
          .filter((file) => file.startsWith("r"))
          .sort()
          .at(-1) ?? ""
      if (newest !== last) heard()
      last = newest
    })
    return
  }
  if (name === "redis") {
    const client = new Redis(Number(place), "127.0.0.1")
    client.on("message", heard)
    await client.subscribe("bare")
    return
  }
  const key = Buffer.from("bare").toString("base64")
  const answer = await fetch(`http://127.0.0.1:${place}/v3/watch`, {
    method: "POST",
    body: JSON.stringify({ create_request: { key } }),
  })
  void (async () => {
    const decoder = new TextDecoder()
    for await (const chunk of answer.body ?? []) if (decoder.decode(chunk).includes('"events"')) heard()
  })()
}

/** Write what those who listen bare are to hear, by the bare client. */
export async function tellBare(name: StoreName, place: string): Promise<() => Promise<void>> {
  let n = 0
  if (name === "file") {
    mkdirSync(join(place, "bare"), { recursive: true })
    return async () => {
      const file = join(place, "bare", `.tmp`)
      writeFileSync(file, "x")
      renameSync(file, join(place, "bare", `r${String(n++).padStart(6, "0")}`))
    }
  }
  if (name === "redis") {
    const client = new Redis(Number(place), "127.0.0.1")
    return async () => void (await client.publish("bare", String(n++)))
  }
  const key = Buffer.from("bare").toString("base64")
  return async () => {
    const value = Buffer.from(String(n++)).toString("base64")
    await fetch(`http://127.0.0.1:${place}/v3/kv/put`, { method: "POST", body: JSON.stringify({ key, value }) })
  }
}
