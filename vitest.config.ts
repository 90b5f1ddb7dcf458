import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const manifest = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as {
  readonly exports: Readonly<Record<string, { readonly default: string }>>
}
/** What is published by a name is tested by its source. */
const published = Object.entries(manifest.exports).map(([subpath, target]) => {
  const source = target.default.replace("./dist/", "src/").replace(/\.js$/, ".ts")
  return {
    find: new RegExp(`^serin${subpath.slice(1)}$`),
    replacement: fileURLToPath(new URL(source, import.meta.url)),
  }
})

const PACKAGE_TESTS = ["test/package.test.ts", "test/package/*.test.ts"]

/** Texts of the project, simulations of which the seed says how they end, and what takes long and asks the runtime for nothing that others do not. */
const ONCE = [
  "test/{architecture,docs,calibrate,replay}.test.ts",
  "test/{analysis,bench,channels,controller,disagreements,docs,evidence,examples,notify,operate,rollout,scripts,session}/**",
  "test/testing/traffic.test.ts",
  "test/sources/{prometheus,rules}.test.ts",
  "test/sources/prometheus-server.test.ts",
  "test/{adapters,engines}/**",
  "test/cli/!(processes).test.ts",
  "test/stores/{redis,etcd}.test.ts",
  "test/dashboard/browser.test.ts",
]
/** Held against frameworks that need a newer Node.js: where another run has that, it has these too. */
const NEWER = ["test/frameworks/**"]
const elsewhere = process.env["SERIN_FRAMEWORKS_ELSEWHERE"] === "1"
const again = Number(process.env["SERIN_TEST_EFFORT"] ?? 1) < 1

/** `vitest run` tests the sources; `vitest run --mode package` packs what was built, installs and imports it. */
export default defineConfig(({ mode }) => ({
  resolve: {
    alias: published,
  },
  test: {
    include: mode === "package" ? PACKAGE_TESTS : ["test/**/*.test.ts"],
    exclude:
      mode === "package"
        ? again
          ? ["test/package/verbs.test.ts"]
          : []
        : ["**/node_modules/**", ...PACKAGE_TESTS, ...(again ? ONCE : []), ...(elsewhere ? NEWER : [])],
    globals: false,
    // Threads start faster than forks; nothing here needs a process of its own.
    pool: "threads",
    // The default leaves a core idle, which is half of a machine of two.
    maxWorkers: "100%",
    // What fails where nobody can look is to be told whole.
    chaiConfig: { truncateThreshold: 0 },
    testTimeout: mode === "package" ? 120_000 : 60_000,
    hookTimeout: mode === "package" ? 120_000 : 60_000,
  },
}))
