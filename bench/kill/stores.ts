import { mkdirSync, readdirSync, readFileSync, watch } from "node:fs"
import { open, rename } from "node:fs/promises"
import { Agent, get, request } from "node:http"
import { join } from "node:path"
import { Redis } from "ioredis"
import type { ReadStore, StateStore } from "serin"
import { etcdStore } from "../../src/stores/etcd.js"
import { fileStore } from "../../src/stores/file.js"
import { httpStore } from "../../src/stores/http.js"
import { redisStore } from "../../src/stores/redis.js"

export const STORES = ["file", "redis", "etcd", "http"] as const
export type StoreName = (typeof STORES)[number]

/** Where kills are written: a folder, or the port of a server on loopback. */
export function writerAt(name: StoreName, place: string): StateStore {
  if (name === "redis") return redisStore({ url: `redis://127.0.0.1:${place}` })
  if (name === "etcd") return etcdStore({ endpoints: [`http://127.0.0.1:${place}`] })
  return fileStore({ dir: join(place, "serin") })
}

/** What a process reads; for HTTP, `place` is two ports: of `serin serve` and of the bare server. */
export function readerAt(name: StoreName, place: string): ReadStore {
  return name === "http" ? httpStore({ url: `http://127.0.0.1:${place.split(",")[0]}/v1` }) : writerAt(name, place)
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
  if (name === "http") {
    const agent = new Agent({ keepAlive: true })
    const base = `http://127.0.0.1:${place.split(",")[1]}`
    const read = (): void => {
      get(`${base}/document`, { agent }, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (piece: string) => (text += piece))
        response.on("end", () => text === DOCUMENT && heard())
      })
    }
    await new Promise<void>((resolve) => {
      get(`${base}/events`, (response) => {
        response.on("data", (piece: Buffer) => piece.includes("event:") && read())
        resolve()
      })
    })
    return
  }
  // An event of etcd brings the document.
  const answer = await post(place, "watch", { create_request: { key: BARE } })
  const decoder = new TextDecoder()
  void (async () => {
    for await (const chunk of answer.body ?? []) if (decoder.decode(chunk).includes('"events"')) heard()
  })()
}

/** Writes the document that those who listen bare are to hear of. */
export interface Teller {
  tell(): Promise<void>
  close(): void
}

/** Make what writes by the bare client. What it writes is on disk when it can be read, where ours is. */
export function tellBare(name: StoreName, place: string): Teller {
  const close = (): void => {}
  let n = 0
  if (name === "file") {
    const folder = join(place, "bare")
    // Beside the folder that is watched: who listens is woken once.
    const draft = join(place, "next")
    return {
      async tell() {
        const handle = await open(draft, "w")
        await handle.writeFile(DOCUMENT)
        await handle.sync()
        await handle.close()
        await rename(draft, join(folder, `${String(n++).padStart(6, "0")}.txt`))
      },
      close,
    }
  }
  if (name === "redis") {
    const client = new Redis(Number(place), "127.0.0.1")
    return {
      tell: async () => void (await client.multi().set("bare", DOCUMENT).publish("bare", "").exec()),
      close: () => client.disconnect(),
    }
  }
  if (name === "http") {
    const url = `http://127.0.0.1:${place.split(",")[1]}/document`
    const tell = (): Promise<void> =>
      new Promise((resolve, reject) => {
        const sent = request(url, { method: "PUT" }, (response) => response.resume().on("end", resolve))
        sent.on("error", reject).end(DOCUMENT)
      })
    return { tell, close }
  }
  const value = Buffer.from(DOCUMENT).toString("base64")
  return { tell: async () => void (await (await post(place, "kv/put", { key: BARE, value })).text()), close }
}

const BARE = Buffer.from("bare").toString("base64")

const isDocument = (file: string): boolean => file.endsWith(".txt")

const post = (port: string, what: string, body: unknown): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}/v3/${what}`, { method: "POST", body: JSON.stringify(body) })
