import { request as requestHttp, type Agent, type ClientRequest, type IncomingMessage } from "node:http"
import { request as requestHttps } from "node:https"
import type { SecureContextOptions } from "node:tls"
import { fieldsOf } from "./etcd-message.js"
import { resetSocket } from "./socket.js"

export interface EtcdRequest {
  /** `http://host:2379/v3/kv/range` */
  readonly url: URL
  readonly message: object
  readonly headers: Readonly<Record<string, string>>
  readonly tls: SecureContextOptions
  /** False: a connection of its own. */
  readonly agent: Agent | false
  /** When it aborts, the connection is reset. */
  readonly signal: AbortSignal
  /** Called when the server may have the request. */
  readonly sent?: (() => void) | undefined
}

/** gRPC's numbers for errors, as far as they are told apart. */
export const GRPC = {
  invalidArgument: 3,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unauthenticated: 16,
} as const

/** What etcd itself answered instead of what was asked for. */
export class EtcdError extends Error {
  /** gRPC's number for it; 0 when the answer was none of etcd's. */
  readonly code: number

  constructor(message: string, code: number) {
    super(message)
    this.name = "EtcdError"
    this.code = code
  }
}

/** Most that is read of an answer, bytes. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024
/** Time of silence after which the system asks the other end for a sign of life, ms. */
const KEEP_ALIVE_MS = 1000

/** Send a message; resolves when the answer begins. */
export function open(request: EtcdRequest): Promise<IncomingMessage> {
  const { url, message, headers, tls, agent, signal, sent } = request
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const body = Buffer.from(JSON.stringify(message))
    const make = url.protocol === "https:" ? requestHttps : requestHttp
    const all = { ...headers, "content-type": "application/json", "content-length": body.length }
    const made = make(url, { method: "POST", headers: all, agent, ...tls })
    const giveUp = (): void => {
      if (made.socket !== null) resetSocket(made.socket)
      made.destroy()
      reject(signal.reason)
    }
    signal.addEventListener("abort", giveUp, { once: true })
    made.once("close", () => signal.removeEventListener("abort", giveUp))
    made.on("error", (error) => reject(signal.aborted ? signal.reason : error))
    made.once("response", resolve)
    prepare(made, sent)
    made.end(body)
  })
}

/** A connection keeps no process alive: whoever waits for an answer has a timer that does. */
function prepare(made: ClientRequest, sent: (() => void) | undefined): void {
  made.once("socket", (socket) => {
    socket.unref()
    if (!socket.connecting) return void sent?.()
    socket.once("connect", () => {
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
      sent?.()
    })
  })
}

/** Send a message and read the whole answer. */
export async function exchange(request: EtcdRequest): Promise<unknown> {
  const response = await open(request)
  const text = await textOf(response).catch((error: unknown) => {
    throw request.signal.aborted ? request.signal.reason : error
  })
  const answer = parse(text)
  if (response.statusCode === 200 && answer !== undefined) return answer
  const { message, error, code } = fieldsOf(answer)
  const told = message ?? error
  throw typeof told === "string" && typeof code === "number"
    ? new EtcdError(told, code)
    : new EtcdError(`HTTP ${response.statusCode}: ${text.slice(0, 100)}`, 0)
}

async function textOf(response: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response) {
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`the answer has more than ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Send a message and read the messages of an answer that goes on, a line each. */
export async function* stream(request: EtcdRequest): AsyncGenerator<unknown> {
  const response = await open(request)
  let rest = ""
  for await (const chunk of response.setEncoding("utf8") as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n")
    rest = lines.pop() ?? ""
    if (rest.length > MAX_ANSWER_BYTES) throw new Error(`a message has more than ${MAX_ANSWER_BYTES} bytes`)
    for (const line of lines) yield parse(line)
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
