import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

/** A part of what a model says. */
export type Block =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string; readonly input: unknown }

interface Message {
  readonly content:
    string | readonly { readonly type: string; readonly tool_use_id?: string; readonly content?: unknown }[]
}

export interface ModelRequest {
  readonly model: string
  readonly stream?: boolean
  readonly messages: readonly Message[]
  readonly tools?: readonly { readonly name: string }[]
}

export interface FakeApi {
  readonly url: string
  /** What was asked for beside messages; nothing, when nobody calls home. */
  readonly strays: readonly string[]
  close(): void
}

/** Serve the messages of the Anthropic API on loopback, each as `next` has it, streamed where that is asked for. */
export async function fakeApi(next: (request: ModelRequest) => readonly Block[]): Promise<FakeApi> {
  const strays: string[] = []
  const server = createServer((request, response) => {
    void (async () => {
      const parts: Buffer[] = []
      for await (const part of request) parts.push(part as Buffer)
      if (request.method !== "POST" || request.url?.split("?")[0] !== "/v1/messages") {
        strays.push(`${request.method} ${request.url}`)
        response.writeHead(404, { "content-type": "application/json" })
        return response.end(`{"type":"error","error":{"type":"not_found_error","message":"only messages"}}`)
      }
      const asked = JSON.parse(Buffer.concat(parts).toString()) as ModelRequest
      const blocks = next(asked)
      const stop_reason = blocks.some(({ type }) => type === "tool_use") ? "tool_use" : "end_turn"
      const usage = { input_tokens: 1, output_tokens: 1 }
      const message = {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: asked.model,
        usage,
        stop_sequence: null,
      }
      if (asked.stream !== true) {
        response.writeHead(200, { "content-type": "application/json" })
        return response.end(JSON.stringify({ ...message, content: blocks, stop_reason }))
      }
      response.writeHead(200, { "content-type": "text/event-stream" })
      const send = (type: string, data: object): void => {
        response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`)
      }
      send("message_start", { message: { ...message, content: [], stop_reason: null } })
      for (const [index, block] of blocks.entries()) {
        const isText = block.type === "text"
        const delta = isText
          ? { type: "text_delta", text: block.text }
          : { type: "input_json_delta", partial_json: JSON.stringify(block.input) }
        send("content_block_start", { index, content_block: isText ? { ...block, text: "" } : { ...block, input: {} } })
        send("content_block_delta", { index, delta })
        send("content_block_stop", { index })
      }
      send("message_delta", { delta: { stop_reason, stop_sequence: null }, usage })
      send("message_stop", {})
      return response.end()
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    strays,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** The text of every answer of a tool that a model is shown, by the call's id, without what Claude Code adds for itself. */
export function answersIn({ messages }: ModelRequest): Map<string, string> {
  const blocks = messages.flatMap(({ content }) => (typeof content === "string" ? [] : content))
  const results = blocks.filter(({ type }) => type === "tool_result")
  return new Map(results.map(({ tool_use_id = "", content }) => [tool_use_id, textOf(content)]))
}

function textOf(content: unknown): string {
  const parts = typeof content === "string" ? [content] : (content as { text?: string }[]).map(({ text }) => text ?? "")
  return parts
    .join("\n")
    .replaceAll(/<system-reminder>[\s\S]*?<\/system-reminder>/g, "")
    .trim()
}
