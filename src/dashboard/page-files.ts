import { existsSync, readdirSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { extname } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"

/** A file of the page as it is sent. */
export interface PageFile {
  readonly type: string
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly zipped: Uint8Array<ArrayBuffer>
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
}

/** Where the chart library is, for the sources as they are; what is published has it in the page's own files. */
const INSTALLED: Readonly<Record<string, string>> = {
  "uplot.js": "uplot/dist/uPlot.esm.js",
  "uplot.css": "uplot/dist/uPlot.min.css",
}

/** Read the files of the page, by name. Nothing else is ever sent as one. */
export function readPage(): ReadonlyMap<string, PageFile> {
  const folder = ["./page/", "./dashboard/page/"]
    .map((path) => new URL(path, import.meta.url))
    .find((url) => existsSync(url))
  if (folder === undefined) throw new Error("the dashboard's page is missing beside its code")
  const names = readdirSync(folder).filter((name) => extname(name) in TYPES)
  const files = new Map(names.map((name) => [name, fileOf(name, fileURLToPath(new URL(name, folder)))]))
  if (names.includes("dom.js")) {
    const { resolve } = createRequire(import.meta.url)
    for (const [name, specifier] of Object.entries(INSTALLED)) files.set(name, fileOf(name, resolve(specifier)))
  }
  return files
}

function fileOf(name: string, path: string): PageFile {
  const bytes = new Uint8Array(readFileSync(path))
  return { type: TYPES[extname(name)] ?? "", bytes, zipped: new Uint8Array(gzipSync(bytes, { level: 9 })) }
}

/** Answer with a file of the page. It has nothing of any rollout: whoever is to sign in must have it. */
export function pageAnswer({ type, bytes, zipped }: PageFile, request: Request): Response {
  const zip = /\bgzip\b(?!;\s*q=0(\.0*)?\b)/.test(request.headers.get("accept-encoding") ?? "")
  const body = zip ? zipped : bytes
  const headers = {
    "content-type": type,
    "content-length": `${body.length}`,
    vary: "accept-encoding",
    ...(zip && { "content-encoding": "gzip" }),
  }
  return new Response(request.method === "HEAD" ? null : body, { headers })
}
