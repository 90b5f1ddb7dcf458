import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"

/** What a lock of npm says of one package. */
interface Locked {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}
export interface Lock {
  readonly packages: Readonly<Record<string, Locked>>
}

export const readLock = (folder: string): Lock =>
  JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8")) as Lock

/** Folders that are installed for packages and all that they need: dependencies, and peers that are not optional. */
export function installed({ packages }: Lock, names: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>()
  const visit = (from: string, name: string): void => {
    const path = resolveFrom(packages, from, name)
    if (path === undefined || found.has(path)) return
    found.add(path)
    for (const need of needs(packages[path]!)) visit(path, need)
  }
  for (const name of names) visit("", name)
  return found
}

export function needs({ dependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} }: Locked): string[] {
  const peers = Object.keys(peerDependencies).filter((name) => peerDependenciesMeta[name]?.optional !== true)
  return [...Object.keys(dependencies), ...peers]
}

/** As Node.js looks: in the folder itself, then in those above it. */
function resolveFrom(packages: Lock["packages"], from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf("/node_modules/")))) {
    const path = folder === "" ? `node_modules/${name}` : `${folder}/node_modules/${name}`
    if (packages[path] !== undefined) return path
    if (folder === "") return undefined
  }
}

export interface Size {
  readonly packages: number
  /** Sum of the files, as they are installed. */
  readonly bytes: number
  /** Sum of the packages, packed as they are sent. */
  readonly packedBytes: number
}

/** Size of installed folders, each without the packages that lie in it. */
export function sizeOf(root: string, folders: Iterable<string>): Size {
  const each = [...folders].map((folder) => join(root, folder))
  const bytes = each.reduce((sum, folder) => sum + filesIn(folder), 0)
  const packedBytes = each.reduce((sum, folder) => sum + packed(folder), 0)
  return { packages: each.length, bytes, packedBytes }
}

function filesIn(folder: string): number {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => name !== "node_modules")
    .map((entry) => {
      const path = join(folder, entry.name)
      return entry.isDirectory() ? filesIn(path) : statSync(path).size
    })
    .reduce((sum, size) => sum + size, 0)
}

function packed(folder: string): number {
  const { status, stdout } = spawnSync("tar", ["-cz", "--exclude=node_modules", "-C", folder, "."], {
    maxBuffer: 2 ** 28,
  })
  if (status !== 0) throw new Error(`tar failed on ${folder}`)
  return stdout.length
}

/** What `npm pack` would send of the project, without sending it. */
export function sizeOfPack(root: string): Size {
  const { status, stdout } = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: root,
    encoding: "utf8",
  })
  if (status !== 0) throw new Error("npm pack failed")
  const [pack] = JSON.parse(stdout) as readonly { readonly size: number; readonly unpackedSize: number }[]
  return { packages: 1, bytes: pack!.unpackedSize, packedBytes: pack!.size }
}

export const plus = (a: Size, b: Size): Size => ({
  packages: a.packages + b.packages,
  bytes: a.bytes + b.bytes,
  packedBytes: a.packedBytes + b.packedBytes,
})
