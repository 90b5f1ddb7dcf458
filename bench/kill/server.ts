// What the processes of the HTTP row talk to, in a process of its own: `serin serve` over a folder, and beside it the least server by which
// documents can be told of.
import { createServer } from "node:http"
import type { ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { fileStore } from "../../src/stores/file.js"
import { listen, storeHandler } from "../../src/serve.js"

const [dir = ""] = process.argv.slice(2)
const served = await listen(storeHandler({ store: fileStore({ dir }) }), { port: 0 })

let document = ""
const listeners = new Set<ServerResponse>()
const bare = createServer((request, response) => {
  if (request.url === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream" }).write(":\n\n")
    listeners.add(response)
    request.on("close", () => listeners.delete(response))
    return
  }
  if (request.method === "GET") return void response.end(document)
  let text = ""
  request.on("data", (piece: Buffer) => (text += piece.toString()))
  request.on("end", () => {
    document = text
    for (const listener of listeners) listener.write("event: document\ndata: {}\n\n")
    response.end()
  })
})
bare.listen(0, "127.0.0.1", () => {
  process.send?.(`${served.port},${(bare.address() as AddressInfo).port}`)
})
process.on("disconnect", () => process.exit(0))
