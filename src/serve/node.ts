import type { IncomingMessage, RequestListener, ServerResponse } from "node:http"

/** Make a `node:http` listener of a web handler: `createServer(nodeListener(handler))`. */
export function nodeListener(handler: (request: Request) => Promise<Response>): RequestListener {
  return (incoming, outgoing) => {
    // What fails here, fails of the connection.
    serve(handler, incoming, outgoing).catch(() => outgoing.destroy())
  }
}

async function serve(
  handler: (request: Request) => Promise<Response>,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const gone = new AbortController()
  outgoing.once("close", () => gone.abort())
  const request = requestOf(incoming, gone.signal)
  if (request === null) {
    outgoing.writeHead(400, { connection: "close" }).end()
    return
  }
  const { status, headers, body } = await handler(request)
  if (gone.signal.aborted) {
    await body?.cancel()
    return
  }
  outgoing.writeHead(status, Object.fromEntries(headers))
  if (body === null || incoming.method === "HEAD") {
    outgoing.end()
    await body?.cancel()
    return
  }
  // Of what goes on, the head must not wait for the first piece.
  if (!headers.has("content-length")) outgoing.flushHeaders()
  await pump(body, outgoing, gone.signal)
}

/** Null: no web request can be made of it. */
function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request | null {
  const { method = "GET", url = "/", rawHeaders } = incoming
  const headers: [string, string][] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) headers.push([rawHeaders[i] ?? "", rawHeaders[i + 1] ?? ""])
  const body = method === "GET" || method === "HEAD" ? null : bodyOf(incoming)
  try {
    // The client's own words for the host are among the headers; an address is not made of them.
    return new Request(`http://localhost${url}`, { method, headers, body, signal, duplex: "half" })
  } catch {
    return null
  }
}

/** Unlike `Readable.toWeb`, cancelling it does not destroy the connection, on which the answer has yet to go out. */
function bodyOf(incoming: IncomingMessage): ReadableStream<Uint8Array> {
  let open = true
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const close = (end: () => void): void => {
          if (open) end()
          open = false
        }
        incoming.on("data", (chunk: Buffer) => {
          if (!open) return
          controller.enqueue(new Uint8Array(chunk))
          incoming.pause()
        })
        incoming.on("end", () => close(() => controller.close()))
        incoming.on("error", (error) => close(() => controller.error(error)))
        incoming.on("close", () => close(() => controller.error(new Error("the client is gone"))))
        incoming.pause()
      },
      pull: () => void incoming.resume(),
      cancel() {
        open = false
        incoming.resume()
      },
    },
    { highWaterMark: 0 },
  )
}

/** Write as fast as the client reads, and no faster. */
async function pump(body: ReadableStream<Uint8Array>, outgoing: ServerResponse, gone: AbortSignal): Promise<void> {
  const reader = body.getReader()
  let wake = (): void => {}
  outgoing.on("drain", () => wake())
  gone.addEventListener("abort", () => {
    void reader.cancel().catch(() => {})
    wake()
  })
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done || gone.aborted) break
      if (!outgoing.write(value)) await new Promise<void>((resolve) => (wake = resolve))
    }
    outgoing.end()
  } catch {
    // Half an answer must not look like a whole one.
    outgoing.destroy()
  }
}
