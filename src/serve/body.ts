import type { Clock } from "../model/clock.js"
import { textIn } from "../model/utf8.js"
import { refusal } from "./answer.js"

/** Longest wait for the whole of a body, ms. */
const BODY_MS = 10_000

type Body = { readonly text: string } | { readonly refused: Response }

/** Read a request's body as text: `maxBytes` at most, within ten seconds. */
export async function readBody(request: Request, maxBytes: number, clock: Clock): Promise<Body> {
  const tooLarge = {
    refused: refusal(413, "TOO_LARGE", `the body may have ${maxBytes} bytes`, { connection: "close" }),
  }
  // What it says of its length is not believed, but saves the transfer.
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) return tooLarge
  if (request.body === null) return { refused: refusal(422, "INVALID", "there is no body") }
  const reader = request.body.getReader() as ReadableStreamDefaultReader<Uint8Array>
  // Attack: a body that comes byte by byte.
  let late = false
  const cancel = clock.schedule(() => {
    late = true
    void reader.cancel().catch(() => {})
  }, BODY_MS)
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (late) return { refused: refusal(408, "TIMEOUT", "the body took too long", { connection: "close" }) }
      if (done) break
      bytes += value.length
      if (bytes > maxBytes) {
        void reader.cancel().catch(() => {})
        return tooLarge
      }
      chunks.push(value)
    }
    return { text: textIn(Buffer.concat(chunks)) }
  } catch {
    return { refused: refusal(400, "BAD_REQUEST", "the body is not UTF-8, or did not come whole") }
  } finally {
    cancel()
  }
}
