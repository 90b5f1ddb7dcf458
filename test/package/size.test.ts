import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { build, type Plugin } from "esbuild"
import { beforeAll, describe, expect, it } from "vitest"
import { CORE_LIMIT, SIZE_LIMITS } from "./size-limits.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, { readonly default: string }>>
}
const { name, exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest
const entries = Object.entries(exports).map(([subpath, target]) => [name + subpath.slice(1), target.default] as const)

/** What other packages bring is theirs; what is loaded later is not loaded by an import. */
const ownAndNow: Plugin = {
  name: "own and now",
  setup({ onResolve }) {
    onResolve({ filter: /./ }, ({ path, kind }) =>
      kind === "dynamic-import" || /^[^./]/.test(path) ? { path, external: true, sideEffects: false } : undefined,
    )
  },
}

interface Bundle {
  /** Minified. */
  readonly bytes: number
  readonly compressed: number
  /** Packages and modules of Node.js that it imports. */
  readonly needs: readonly string[]
  /** Bytes of each file in it, the biggest first. */
  readonly inputs: readonly (readonly [path: string, bytes: number])[]
}

async function bundle(contents: string): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    write: false,
    metafile: true,
    logLevel: "silent",
    tsconfigRaw: {},
    plugins: [ownAndNow],
  })
  const { contents: text } = outputFiles[0]!
  const [output] = Object.values(metafile.outputs)
  const inputs = Object.entries(output!.inputs).map(([path, { bytesInOutput }]) => [path, bytesInOutput] as const)
  return {
    bytes: text.length,
    compressed: gzipSync(text, { level: 9 }).length,
    needs: [...new Set(output!.imports.filter(({ kind }) => kind === "import-statement").map(({ path }) => path))],
    inputs: inputs.filter(([path]) => path !== "<stdin>").toSorted(([, a], [, b]) => b - a),
  }
}

/** Its size if that is above the limit, and the sources that make most of it: of the built files nobody knows what is in them. */
async function tooLarge(what: string, text: (path: string) => string, path: string, limit: number): Promise<string[]> {
  const { bytes, compressed } = await bundle(text(path))
  console.log(`${what}: ${compressed} bytes compressed of ${limit}, ${bytes} minified`)
  if (compressed <= limit) return []
  const { inputs } = await bundle(text(path.replace("./dist/", "./src/").replace(/\.js$/, ".ts")))
  const biggest = inputs.slice(0, 8).map(([file, size]) => `${file} ${size}`)
  return [`${what}: ${compressed} bytes, limit ${limit}; most of it: ${biggest.join(", ")}`]
}

/** Needs a build before it: `npm run build`. */
describe("the size of", () => {
  beforeAll(() => {
    if (!existsSync(join(root, "dist"))) throw new Error("dist/ is missing: run `npm run build` first")
  })

  it("every published entry has a limit, and nothing else has", () => {
    expect(Object.keys(SIZE_LIMITS).toSorted()).toEqual(entries.map(([entry]) => entry).toSorted())
  })

  it.each(entries)("%s keeps its limit", async (entry, path) => {
    expect(await tooLarge(entry, (from) => `export * from "${from}"`, path, SIZE_LIMITS[entry]!)).toEqual([])
  })

  it("what decides a call keeps its limit, tree-shaken out of the main entry", async () => {
    const text = (from: string): string => `export { createGuard } from "${from}"`
    expect(await tooLarge("createGuard", text, exports["."]!.default, CORE_LIMIT)).toEqual([])
  })

  it("the main entry is all that is loaded, but for what decides, hashes and counts: nothing that reads documents, and no server or client", async () => {
    const { needs } = await bundle(`export * from "${exports["."]!.default}"`)
    // Not `process`: to list what it exports, Node.js makes all of it, streams included.
    const light = ["async_hooks", "crypto", "fs", "fs/promises", "os", "path", "url", "util"]
    expect(needs.filter((one) => !light.includes(one.replace("node:", ""))).toSorted()).toEqual([
      "@opentelemetry/api",
      "fastest-levenshtein",
      "murmurhash3js-revisited",
    ])
  })

  it("every entry is nothing where nothing of it is used", async () => {
    expect(await bundle(entries.map(([, path]) => `import "${path}"`).join("\n"))).toMatchObject({ inputs: [] })
  })
})
