import { createHash } from "node:crypto"
import { constants } from "node:fs"
import { open, readdir, realpath, stat } from "node:fs/promises"
import { isAbsolute, join, relative, sep } from "node:path"
import { isSerinError, SerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import type { Call } from "../model/call.js"
import { invalid } from "./document.js"
import { readManifest, VERSION, VERSION_FIX } from "./manifest.js"
import type { Engine, Policy, Release, ReleaseSource, SourceFile } from "./ports.js"

export interface LoadOptions<C = Call> {
  /** Engines that a manifest may name. */
  readonly engines: readonly Engine<C>[]
}

interface LoadedFile extends SourceFile {
  /** Path in the release, with `/`. */
  readonly name: string
  readonly sha256: string
}

const MANIFEST = "release.yaml"
const MAX_MANIFEST_BYTES = 64 * 1024
const MAX_FILE_BYTES = 1024 * 1024
const SHOWN_VERSIONS = 20
/** A link that is swapped in after its target was checked is not followed; a pipe does not block. Windows has neither flag. */
const READ = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

/**
 * Serve the releases below a directory, `<root>/<version>/release.yaml`. A release that was loaded is kept: it is immutable.
 * Fails with `RELEASE_NOT_FOUND`, which lists the versions that are there, and `RELEASE_INVALID`, which lists every problem.
 */
export function releaseDirectory<C = Call>(root: string, options: LoadOptions<C>): ReleaseSource<C> {
  checkEngines(options.engines)
  const loaded = new Map<string, Promise<Release<C>>>()

  async function load(version: string): Promise<Release<C>> {
    // Attack: a version from remote state that climbs out of the root, such as `../../tmp/evil`.
    if (!VERSION.test(version)) {
      const message = `${JSON.stringify(version).slice(0, 60)} is no version`
      throw new SerinError("RELEASE_NOT_FOUND", message, {
        problems: [{ where: "version", message, fix: VERSION_FIX }],
      })
    }
    const directory = join(root, version)
    if (!(await isDirectory(directory))) throw await notFound(root, version)
    return loadRelease(directory, { ...options, version })
  }

  return {
    get(version) {
      const before = loaded.get(version)
      if (before !== undefined) return before
      const loading = load(version)
      loaded.set(version, loading)
      // A failure is not kept: the release may be put right, or arrive, while the host runs.
      loading.catch(() => loaded.delete(version))
      return loading
    },
  }
}

/**
 * Load the release in a directory: the manifest `release.yaml` and the files that it names, compiled by an engine.
 * Fails with `RELEASE_INVALID`, which lists every problem, of the manifest and of the rules.
 *
 * `digest` is the sha-256 of a line `<sha-256 of the bytes>  <path>` for each file read, sorted by path:
 * what `sha256sum release.yaml rules.yaml | sha256sum` prints.
 */
export async function loadRelease<C = Call>(
  directory: string,
  options: LoadOptions<C> & {
    /** The version that was asked for: the manifest must say the same. */
    readonly version?: string | undefined
  },
): Promise<Release<C>> {
  checkEngines(options.engines)
  const problems: Problem[] = []
  const what = `the release in ${directory}`
  if (!(await isDirectory(directory))) throw new SerinError("RELEASE_NOT_FOUND", `${directory} is no directory`)
  const root = await realpath(directory)
  const manifestFile = await readInside(directory, root, MANIFEST, MAX_MANIFEST_BYTES, problems)
  if (manifestFile === null) throw invalid("RELEASE_INVALID", what, problems)

  const manifest = readManifest(manifestFile, options, problems)
  const files: LoadedFile[] = []
  for (const name of manifest?.files ?? []) {
    const file = await readInside(directory, root, name, MAX_FILE_BYTES, problems)
    if (file !== null) files.push(file)
  }
  // Problems in the files that are there are told as well, beside those that are not.
  const compiled = manifest !== null && files.length > 0 ? compile(manifest.engine, files) : null
  problems.push(...(compiled?.problems ?? []))
  if (manifest === null || compiled?.policy === undefined || problems.length > 0) {
    throw invalid("RELEASE_INVALID", what, problems, compiled?.cause)
  }
  return Object.freeze({
    version: manifest.version,
    policy: compiled.policy,
    digest: digestOf([manifestFile, ...files]),
  })
}

function checkEngines(engines: readonly Engine<never>[]): void {
  const names = engines.map(({ name }) => name)
  if (names.length === 0) throw new TypeError("options.engines must have at least one engine, got none")
  if (new Set(names).size < names.length) {
    throw new TypeError(`options.engines must have different names, got ${names.join(", ")}`)
  }
}

interface Compiled<C> {
  readonly policy?: Policy<C>
  readonly problems: readonly Problem[]
  readonly cause?: unknown
}

/** An engine is foreign code: whatever it throws is a problem of the release. */
function compile<C>(engine: Engine<C>, files: readonly SourceFile[]): Compiled<C> {
  try {
    return { policy: engine.compile(files.map(({ path, text }) => ({ path, text }))), problems: [] }
  } catch (cause) {
    if (isSerinError(cause) && cause.problems.length > 0) return { problems: cause.problems, cause }
    const message = `the engine \`${engine.name}\` failed: ${cause instanceof Error ? cause.message : "no error was thrown"}`
    return { problems: [{ where: files.map(({ path }) => path).join(", "), message }], cause }
  }
}

/** Read a file of a release once: the bytes that are hashed are the bytes that are compiled. */
async function readInside(
  directory: string,
  root: string,
  name: string,
  maxBytes: number,
  problems: Problem[],
): Promise<LoadedFile | null> {
  const path = join(directory, name)
  const refuse = (message: string, fix?: string): null => {
    problems.push({ where: path, message, ...(fix !== undefined && { fix }) })
    return null
  }
  try {
    const real = await realpath(path)
    // Attack: a link in the release that points at a file of the machine, or at rules that others may write.
    // A link that stays inside is fine: mounted ConfigMaps are made of them.
    if (!isInside(root, real)) return refuse("is a link that leaves the release", "copy the file into the release")
    const handle = await open(real, READ)
    try {
      const stats = await handle.stat()
      if (!stats.isFile()) return refuse("is no file")
      if (stats.size > maxBytes) return refuse(`is larger than ${maxBytes / 1024} KiB`)
      const bytes = await handle.readFile()
      const sha256 = createHash("sha256").update(bytes).digest("hex")
      return { name, path, sha256, text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) }
    } finally {
      await handle.close()
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
    if (code === "ENOENT" || code === "ENOTDIR") return refuse("is missing")
    return refuse(code === "ERR_ENCODING_INVALID_ENCODED_DATA" ? "is not UTF-8" : `cannot be read: ${code}`)
  }
}

function isInside(root: string, path: string): boolean {
  const way = relative(root, path)
  return way !== "" && !isAbsolute(way) && way.split(sep)[0] !== ".."
}

function digestOf(files: readonly LoadedFile[]): string {
  const lines = files.map(({ name, sha256 }) => ({ name, line: `${sha256}  ${name}\n` }))
  lines.sort((a, b) => (a.name < b.name ? -1 : 1))
  return `sha256:${createHash("sha256")
    .update(lines.map(({ line }) => line).join(""))
    .digest("hex")}`
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
}

async function notFound(root: string, version: string): Promise<SerinError> {
  const message = `there is no release ${version} in ${root}`
  const names = await readdir(root).catch(() => null)
  if (names === null) {
    return new SerinError("RELEASE_NOT_FOUND", `${message}, which cannot be read as a directory`)
  }
  const there: string[] = []
  for (const name of names.filter((one) => VERSION.test(one)).sort()) {
    if (await isDirectory(join(root, name))) there.push(name)
  }
  const shown = [...there.slice(0, SHOWN_VERSIONS), ...(there.length > SHOWN_VERSIONS ? ["…"] : [])].join(", ")
  const fix = there.length === 0 ? "none is there" : `there are ${shown}`
  return new SerinError("RELEASE_NOT_FOUND", `${message}; ${fix}`, { problems: [{ where: "version", message, fix }] })
}
