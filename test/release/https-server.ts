import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:https"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** Make a certificate for this machine's loopback names; null where there is no openssl. */
export function certificate(): Certificate | null {
  const dir = mkdtempSync(join(tmpdir(), "serin-tls-"))
  const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")]
  try {
    const names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    const subject = ["-subj", "/CN=localhost", "-addext", names, "-days", "2", "-keyout", key, "-out", cert]
    execFileSync("openssl", [...request, ...subject], { stdio: "ignore" })
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") }
  } catch {
    return null
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A server on loopback and a free port, that counts who came. */
export interface Served {
  readonly port: number
  readonly seen: IncomingMessage[]
  readonly sockets: () => number
  handle: Handler
  close(): Promise<void>
}

export async function serve(identity: Certificate, handle: Handler): Promise<Served> {
  let connections = 0
  const seen: IncomingMessage[] = []
  const server: Server = createServer(identity, (request, response) => {
    seen.push(request)
    served.handle(request, response)
  })
  server.on("connection", () => connections++)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const served: Served = {
    port: (server.address() as AddressInfo).port,
    seen,
    sockets: () => connections,
    handle,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return served
}
