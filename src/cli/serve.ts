import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import { bearer, type Authorize } from "../serve/bearer.js"
import { storeHandler } from "../serve/handler.js"
import { listen, type Listening } from "../serve/listen.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS, usage } from "./command.js"
import { EXIT } from "./exit-code.js"
import type { Io } from "./io.js"
import { placeOf } from "./place.js"
import type { Printer } from "./printer.js"

const PORT = "8321"

export const serveCommand = defineCommand({
  name: "serve",
  summary: "Serve the store over HTTP: state to read, evidence to publish; until interrupted",
  notes: [
    "The token file has a token a line: whoever sends one of them may read and publish. Without it, this machine alone is served.",
    "It speaks no TLS: where a token crosses a network, put a proxy before it that does.",
  ],
  example: "serin serve --host 0.0.0.0 --token-file /run/secrets/serin",
  flags: {
    ...PLACE_FLAGS,
    port: { type: "string", value: "N", text: `where it listens (default: ${PORT}; 0 takes a free one)` },
    host: { type: "string", value: "ADDRESS", text: "on which address (default: 127.0.0.1; all: 0.0.0.0 or ::)" },
    "token-file": { type: "string", value: "FILE", text: "who may: a token a line, 16 characters or more" },
    ...JSON_FLAG,
  },
  async run({ values, io, out }) {
    const port = readPort(values.port ?? PORT)
    const host = values.host ?? "127.0.0.1"
    const file = values["token-file"]
    if (file === undefined && !isLoopback(host)) {
      throw usage(`serin serve: ${host} can be reached from elsewhere, and that needs --token-file`)
    }
    const place = await placeOf(values, io)
    // As it is: whoever follows verifies it.
    const { raw: store } = place
    const authorize = file === undefined ? thisMachine : await readTokens(file, io)
    const handler = storeHandler({
      // What can only be read takes no evidence either.
      store: place.readOnly ? { get: store.get, watch: store.watch, caps: store.caps } : store,
      authorize,
      signal: io.signal,
      clock: io.clock,
      onError: oncePerMessage(out),
    })
    const server = await listenOn(handler, port, host)
    const url = `${server.url}/v1`
    if (values.json) out.json({ url, port: server.port, state: place.shownState, token: file !== undefined })
    else {
      const who = file === undefined ? "to this machine alone, without a token" : "to whoever has a token"
      out.line("serving ", { text: place.shownState, style: "bold" }, ` at ${url}, ${who}`)
    }
    await ended(io.signal)
    await server.close()
    return EXIT.ok
  },
})

/** Serve a handler until the signal says so. Throws `USAGE` for an address that cannot be had. */
async function listenOn(handler: ReturnType<typeof storeHandler>, port: number, host: string): Promise<Listening> {
  try {
    return await listen(handler, { port, host })
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : undefined
    const fix = code === undefined ? undefined : FIXES[code]
    if (fix === undefined) throw error
    throw usage(`serin serve: cannot listen on ${host}, port ${port}: ${fix}`)
  }
}

const FIXES: Readonly<Record<string, string>> = {
  EADDRINUSE: "another process does; choose another with --port",
  EACCES: "this user may not; choose a port from 1024 on with --port",
  EADDRNOTAVAIL: "this machine has no such address; choose another with --host",
  ENOTFOUND: "there is no such name; choose another with --host",
}

function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(port <= 65_535)) throw usage(`--port must be a whole number from 0 to 65535, got ${JSON.stringify(text)}`)
  return port
}

async function readTokens(file: string, { cwd }: Io): Promise<Authorize> {
  let text: string
  try {
    text = await readFile(resolve(cwd, file), "utf8")
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
    throw usage(`serin serve: ${file} cannot be read: ${code}`)
  }
  const lines = text.split("\n").map((line) => line.trim())
  try {
    return bearer(lines.filter((line) => line !== "" && !line.startsWith("#")))
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw usage(`serin serve: ${file}: ${error.message}`)
  }
}

const isLoopback = (host: string): boolean => /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i.test(host)

/**
 * Whoever is on this machine and means it. Attack: DNS rebinding: a page of a browser on this machine, whose name was made to stand for
 * 127.0.0.1 after it was loaded; its requests bear that name.
 */
const thisMachine: Authorize = ({ headers }) => isLoopback((headers.get("host") ?? "").replace(/:\d+$/, ""))

/** A store that is away fails a thousand requests in the same way. */
function oncePerMessage(out: Printer): (error: unknown) => void {
  let last = ""
  return (error) => {
    const message = error instanceof Error ? error.message : String(error)
    if (message === last) return
    last = message
    out.note(`serin serve: ${message}`)
  }
}

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true })
    if (signal.aborted) resolve()
  })
