import { mkdir, readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { readPacked } from "./open.js"
import { writeWhole } from "./write-whole.js"

/** A packed release as it was fetched and verified once. It is verified again when it is used. */
export interface CachedBundle {
  readonly bytes: Buffer
  readonly etag: string | null
}

/** Packed releases that were verified, on disk: for a start while their server is down. */
export interface BundleCache {
  read(version: string): Promise<CachedBundle | null>
  write(version: string, bundle: CachedBundle): Promise<void>
  remove(version: string): Promise<void>
}

/** Keep bundles in a directory, for this user alone. An etag counts for the address that it came from. */
export function bundleCache(dir: string, addressOf: (version: string) => string): BundleCache {
  const packed = (version: string): string => join(dir, `${version}.tgz`)
  const tag = (version: string): string => join(dir, `${version}.etag`)
  return {
    async read(version) {
      const bytes = await readPacked(packed(version)).catch(() => null)
      if (bytes === null) return null
      const [address, etag = ""] = (await readFile(tag(version), "utf8").catch(() => "")).split("\n")
      return { bytes, etag: address === addressOf(version) && etag !== "" ? etag : null }
    },
    async write(version, { bytes, etag }) {
      await mkdir(dir, { recursive: true, mode: 0o700 })
      // First without a tag: one of other bytes would keep them for ever.
      await rm(tag(version), { force: true })
      await writeWhole(packed(version), bytes, 0o600)
      if (etag !== null) await writeWhole(tag(version), `${addressOf(version)}\n${etag}`, 0o600)
    },
    async remove(version) {
      await Promise.all([packed(version), tag(version)].map((path) => rm(path, { force: true })))
    },
  }
}
