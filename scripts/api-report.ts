// What the built package promises, in one file for each published entry: `npm run api` writes them to etc/, and with `--check` says where
// they differ from what was built. A change of the API is then looked at by whoever reviews it, and never happens by accident.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { readApi } from "./api.js"
import type { Entry } from "./api.js"
import { differenceOf } from "./difference.js"

interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, { readonly types: string }>>
}

const root = fileURLToPath(new URL("..", import.meta.url))
const folder = join(root, "etc")
const { name, exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest
const entries = Object.entries(exports).map(([subpath, { types }]): Entry => {
  return { name: name + subpath.slice(1), types: join(root, types) }
})
const missing = entries.find(({ types }) => !existsSync(types))
if (missing !== undefined) throw new Error(`${missing.types} is missing: run \`npm run build\` first`)

const { texts, complaints } = readApi(entries)
const reports = new Map(entries.map((entry) => [fileOf(entry), texts.get(entry.name)!]))
const wrong = process.argv.includes("--check") ? [...complaints, ...differences()] : complaints
if (!process.argv.includes("--check")) write()
if (wrong.length > 0) {
  console.error(wrong.join("\n"))
  process.exitCode = 1
}

/** `serin/stores/redis` → `stores-redis.api.md`. */
function fileOf(entry: Entry): string {
  const subpath = entry.name === name ? name : entry.name.slice(name.length + 1)
  return `${subpath.replaceAll("/", "-")}.api.md`
}

function kept(): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}

function differences(): string[] {
  const changed = entries.flatMap((entry) => {
    const path = join(folder, fileOf(entry))
    const before = existsSync(path) ? readFileSync(path, "utf8") : ""
    const now = texts.get(entry.name)!
    if (before === now) return []
    return [`the API of ${entry.name} is not what etc/${fileOf(entry)} says:`, differenceOf(before, now)]
  })
  const left = kept().filter((file) => !reports.has(file))
  const all = [...changed, ...left.map((file) => `etc/${file} is of no entry`)]
  return all.length === 0 ? [] : [...all, "If that is meant: `npm run build && npm run api`, and commit etc/"]
}

function write(): void {
  mkdirSync(folder, { recursive: true })
  for (const file of kept()) if (!reports.has(file)) rmSync(join(folder, file))
  for (const [file, text] of reports) writeFileSync(join(folder, file), text)
}
