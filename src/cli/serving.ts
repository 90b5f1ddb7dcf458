import { readFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { readDecisionLog } from "../decision-log/read.js"
import { dashboardHandler } from "../dashboard/handler.js"
import { approvalKeys } from "../notify/approval-token.js"
import { operators } from "../dashboard/operators.js"
import type { Problem } from "../errors.js"
import { errorText } from "../model/error-text.js"
import { whyUnread } from "../model/file-error.js"
import { releaseDirectory } from "../release/load.js"
import { isLoopback } from "../model/loopback.js"
import type { ReadStore, StateStore } from "../rollout/store.js"
import { bearer, type Authorize } from "../serve/bearer.js"
import { storeHandler } from "../serve/handler.js"
import { listen, type Listening } from "../serve/listen.js"
import { usage, type Flags, type Values } from "./command.js"
import { ownEngines } from "./engines.js"
import type { Io } from "./io.js"
import { rolloutName, rolloutsIn, type Place } from "./place.js"
import type { Line, Printer } from "./printer.js"

const PORT = "8321"

export const SERVE_FLAGS = {
  port: { type: "string", value: "N", text: `where it listens (default: ${PORT}; 0 takes a free one)` },
  host: { type: "string", value: "ADDRESS", text: "on which address (default: 127.0.0.1; all: 0.0.0.0 or ::)" },
  log: {
    type: "string",
    value: "FILE",
    text: "a decision log: the dashboard shows calls of it to those who may act",
  },
  "approval-secret": {
    type: "string",
    value: "FILE",
    text: "the secret of approval links, a line, as notify.yaml names it",
  },
  "operator-file": {
    type: "string",
    value: "FILE",
    text: "who may act on the dashboard, in whose name: a name and a token a line",
  },
  releases: {
    type: "string",
    value: "DIR",
    text: "to replay calls with (default: releases/ beside the rollout file)",
  },
  "token-file": { type: "string", value: "FILE", text: "who may: a token a line, 16 characters or more" },
} as const satisfies Flags

/** A place that is served over HTTP. */
export interface Serving {
  /** What is served where, and to whom: for people, and as a document. */
  readonly lines: readonly Line[]
  readonly document: {
    readonly url: string
    readonly dashboard: string
    readonly port: number
    readonly state: string
    readonly token: boolean
  }
  close(): Promise<void>
}

/** Serve a place for `serin <command>`, until it is closed; the command's signal ends its streams. Throws `USAGE` for flags that cannot be meant. */
export async function startServing(
  command: string,
  { values, io, out }: { readonly values: Values<typeof SERVE_FLAGS>; readonly io: Io; readonly out: Printer },
  find: () => Promise<Place>,
): Promise<Serving> {
  const port = readPort(values.port ?? PORT)
  const host = values.host ?? "127.0.0.1"
  const file = values["token-file"]
  if (file === undefined && !isLoopback(host)) {
    throw usage(`serin ${command}: ${host} can be reached from elsewhere, and that needs --token-file`)
  }
  const place = await find()
  // As it is: whoever follows verifies it.
  const { raw: store } = place
  const authorize =
    file === undefined ? thisMachine : await readTokens(`serin ${command}: --token-file ${file}`, file, io)
  const onError = oncePerMessage(command, out)
  const serveStore = storeHandler({
    // What can only be read takes no evidence either.
    store: place.readOnly ? { get: store.get, watch: store.watch, caps: store.caps } : store,
    authorize,
    signal: io.signal,
    clock: io.clock,
    onError,
  })
  const operatorsFile = values["operator-file"]
  const names =
    operatorsFile === undefined
      ? {}
      : await readOperators(`serin ${command}: --operator-file ${operatorsFile}`, operatorsFile, io)
  if (values.log !== undefined && operatorsFile === undefined)
    throw usage(`serin ${command}: calls of --log are shown to those who may act; --operator-file says who that is`)
  const secretFile = values["approval-secret"]
  const secret =
    secretFile === undefined
      ? undefined
      : await readSecrets(`serin ${command}: --approval-secret ${secretFile}`, secretFile, io)
  const writes = operatorsFile !== undefined || secret !== undefined
  const serveDashboard = dashboardHandler({
    store: !writes || place.readOnly ? withoutWrites(place.store) : place.store,
    approvals: secret && { secret },
    raw: place.signs ? place.raw : undefined,
    rollouts: await shownRollouts(place, out),
    authorize: operators(names, (request) => authorize(request, "read")),
    ...exploredBy(values, place, io),
    signal: io.signal,
    clock: io.clock,
    onError,
  })
  const handler = (request: Request): Promise<Response> =>
    /^\/v1(\/|$)/.test(new URL(request.url).pathname) ? serveStore(request) : serveDashboard(request)
  const server = await listenOn(handler, { command, port, host })
  const url = `${server.url}/v1`
  const dashboard = `${server.url}/`
  const who = file === undefined ? "to this machine alone, without a token" : "to whoever has a token"
  const acts =
    operatorsFile === undefined
      ? "it can only read; --operator-file says who may act"
      : `${Object.keys(names).join(", ")} may act`
  return {
    lines: [
      ["serving ", { text: place.shownState, style: "bold" }, ` at ${url}, ${who}`],
      [`dashboard at ${dashboard}: ${acts}`],
    ],
    document: { url, dashboard, port: server.port, state: place.shownState, token: file !== undefined },
    close: () => server.close(),
  }
}

/** Serve a handler until the signal says so. Throws `USAGE` for an address that cannot be had. */
async function listenOn(
  handler: (request: Request) => Promise<Response>,
  { command, port, host }: { readonly command: string; readonly port: number; readonly host: string },
): Promise<Listening> {
  try {
    return await listen(handler, { port, host })
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : undefined
    const fix = code === undefined ? undefined : FIXES[code]
    if (fix === undefined) throw error
    throw usage(`serin ${command}: cannot listen on ${host}, port ${port}: ${fix}`)
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

async function readTokens(flag: string, file: string, io: Io): Promise<Authorize> {
  const lines = await readLines(flag, file, io)
  return checkedBy(flag, () => bearer(lines))
}

/** What disagreements are shown from. Releases that bring code are not loaded here. */
function exploredBy(
  { log, releases }: { readonly log: string | undefined; readonly releases: string | undefined },
  { file }: Place,
  { cwd }: Io,
) {
  if (log === undefined) return {}
  const root = releases === undefined ? join(dirname(file), "releases") : resolve(cwd, releases)
  return {
    log: (onProblem: (problem: Problem) => void) => readDecisionLog(resolve(cwd, log), { onProblem }),
    releases: releaseDirectory(root, { engines: ownEngines() }),
  }
}

/** Tokens by the name in which each acts. */
async function readOperators(flag: string, file: string, io: Io): Promise<Readonly<Record<string, string>>> {
  const lines = (await readLines(flag, file, io)).map((line) => line.split(/\s+/))
  const wrong = lines.find((words) => words.length !== 2)
  if (wrong !== undefined) throw usage(`${flag}: a line has a name and a token, got ${wrong.length} words`)
  const names = Object.fromEntries(lines.map(([name = "", token = ""]) => [name, token] as const))
  if (lines.length === 0) throw usage(`${flag} has no name and no token; write a line of both for each operator`)
  if (Object.keys(names).length < lines.length) throw usage(`${flag}: a name is there twice`)
  return checkedBy(flag, () => (operators(names), names))
}

/** Secrets of approval links: the one in use, and those that are on their way out. */
async function readSecrets(flag: string, file: string, io: Io): Promise<readonly string[]> {
  const lines = await readLines(flag, file, io)
  return checkedBy(flag, () => approvalKeys(lines))
}

/** Lines of a file but the empty ones and remarks. `flag` names it in messages. */
async function readLines(flag: string, file: string, { cwd }: Io): Promise<string[]> {
  try {
    const lines = (await readFile(resolve(cwd, file), "utf8")).split("\n").map((line) => line.trim())
    return lines.filter((line) => line !== "" && !line.startsWith("#"))
  } catch (error) {
    throw usage(`${flag} cannot be read: ${whyUnread(error)}`)
  }
}

function checkedBy<T>(flag: string, check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw usage(`${flag}: ${error.message}`)
  }
}

/** All that the store's folder has by now; of another store, the one that the rollout file names. */
async function shownRollouts(place: Place, out: Printer): Promise<() => Promise<readonly string[]>> {
  if (place.stateDir !== null) return () => rolloutsIn(place.stateDir)
  const names = await rolloutName(place, out).then(
    (name) => [name],
    () => [],
  )
  return async () => names
}

const withoutWrites = ({ get, watch, caps, history }: StateStore): ReadStore & Pick<StateStore, "history"> => ({
  get,
  watch,
  caps,
  history,
})

/**
 * Whoever is on this machine and means it. Attack: DNS rebinding: a page of a browser on this machine, whose name was made to stand for
 * 127.0.0.1 after it was loaded; its requests bear that name.
 */
const thisMachine: Authorize = ({ headers }) => isLoopback((headers.get("host") ?? "").replace(/:\d+$/, ""))

/** A store that is away fails a thousand requests in the same way. */
function oncePerMessage(command: string, out: Printer): (error: unknown) => void {
  let last = ""
  return (error) => {
    const message = errorText(error)
    if (message === last) return
    last = message
    out.note(`serin ${command}: ${message}`)
  }
}
