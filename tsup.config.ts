import { copyFile, readFile } from "node:fs/promises"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { build, type Plugin } from "esbuild"
import { defineConfig } from "tsup"

interface Manifest {
  readonly exports: Readonly<Record<string, { readonly default: string }>>
  readonly bin?: Readonly<Record<string, string>>
}

/** What is published is what is built: `./dist/<name>.js` of `exports` and `bin` comes from `src/<name>.ts`. */
function entriesOf(manifest: Manifest): Record<string, string> {
  const targets = [...Object.values(manifest.exports).map((e) => e.default), ...Object.values(manifest.bin ?? {})]
  const entries = targets.map((target) => {
    const name = /^\.\/dist\/(.+)\.js$/.exec(target)?.[1]
    if (name === undefined) throw new Error(`package.json: ${target} is not ./dist/<name>.js`)
    const source = `src/${name}.ts`
    if (!existsSync(source)) throw new Error(`package.json: ${target} is published but ${source} is missing`)
    return [name, source] as const
  })
  return Object.fromEntries(entries)
}

const published = entriesOf(JSON.parse(readFileSync("package.json", "utf8")) as Manifest)

/** Sources that are loaded when they are needed: targets of `import("./x.js")`. */
function lazySources(): string[] {
  const paths = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"))
  return paths.flatMap((path) => {
    const targets = readFileSync(join("src", path), "utf8").matchAll(/\bimport\("(\.[^"]+)\.js"\)/g)
    return [...targets].map(([, target = ""]) => join("src", dirname(path), `${target}.ts`))
  })
}

/**
 * Have what `serin` itself imports in one file. A bundler that splits makes a file of each set of modules that the same entries reach: forty for the main entry, and each costs whoever
 * imports it a millisecond or more. Here each entry reaches all of it, so it is one set.
 */
const oneCore: Plugin = {
  name: "one-core",
  setup({ onLoad, onResolve }) {
    const core = resolve("src/index.ts")
    const others = new Set([...Object.values(published), ...lazySources()].map((path) => resolve(path)))
    others.delete(core)
    // `serin help` needs none of it; the verbs, which are loaded when they are run, do.
    others.delete(resolve("src/cli/main.ts"))
    // Unmarked, an import for its effect alone would be dropped: the package has none.
    onResolve({ filter: /^serin:core$/ }, () => ({ path: core, sideEffects: true }))
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      if (!others.has(path)) return undefined
      return { contents: `${await readFile(path, "utf8")}\nimport "serin:core"\n`, loader: "ts" }
    })
  },
}

export default defineConfig({
  // A worker is started from a file of its own, which nobody imports by name.
  entry: { ...published, "release/isolate-worker": "src/release/isolate-worker.js" },
  format: "esm",
  target: "es2022",
  platform: "node",
  dts: { entry: published },
  // Shared chunks: one SerinError class and one copy of every registry across entries.
  splitting: true,
  treeshake: true,
  // Stack traces read well without: the output is neither minified nor downlevelled.
  sourcemap: false,
  clean: true,
  esbuildPlugins: [oneCore],
  onSuccess: buildPage,
})

/** The dashboard's page: its script with the chart library in it, and what is sent as it is. */
async function buildPage(): Promise<void> {
  const from = "src/dashboard/page"
  const to = "dist/dashboard/page"
  const entryPoints = { app: `${from}/app.js`, style: `${from}/style.css`, uplot: "uplot/dist/uPlot.min.css" }
  // With the licence of what is bundled: it must go wherever that goes.
  const banner = { js: `/*! uPlot:\n${readFileSync("node_modules/uplot/LICENSE", "utf8")}*/` }
  await build({
    entryPoints,
    outdir: to,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    banner,
    logLevel: "warning",
  })
  for (const name of ["index.html", "icon.svg"]) await copyFile(`${from}/${name}`, `${to}/${name}`)
}
