import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { homedir } from "node:os"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { CORE_UNITS, IMPORT_TABLE } from "./architecture/import-table.js"
import { importsOf, importViolations, unitOf, type SourceText } from "./architecture/imports.js"
import { fileViolations } from "./architecture/naming.js"
import { privateWords, privateWordViolations } from "./architecture/private-words.js"

const root = fileURLToPath(new URL("..", import.meta.url))
const read = (path: string): string => readFileSync(root + path, "utf8")
const linesOf = (text: string): number => text.split("\n").length - 1

interface Manifest {
  readonly exports: Readonly<Record<string, { readonly default: string }>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}
const manifest = JSON.parse(read("package.json")) as Manifest
const declared = new Set([...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies)])
const published = new Set(
  Object.values(manifest.exports).map((e) => e.default.replace("./dist/", "src/").replace(/\.js$/, ".ts")),
)

const sources: SourceText[] = readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })
  .map((name) => `src/${name.replaceAll("\\", "/")}`)
  .filter((path) => path.endsWith(".ts"))
  .toSorted()
  .map((path) => ({ path, text: read(path) }))

describe("the sources", () => {
  it("import only what the import table allows", () => {
    expect(sources.length).toBeGreaterThan(10)
    expect(sources.flatMap((s) => importViolations(s, IMPORT_TABLE, declared))).toEqual([])
  })

  it("have kebab-case names that say what they are about, no index but published entries, and one noun's length", () => {
    tellSizes()
    expect(sources.flatMap((s) => fileViolations(s.path, linesOf(s.text), published))).toEqual([])
  })

  /** Not a rule but a reading: how large the core is, and which files a reviewer should look at. */
  function tellSizes(): void {
    const core = sources.filter((s) => CORE_UNITS.has(unitOf(s.path))).flatMap((s) => s.text.split("\n"))
    const code = core.filter((line) => /^\s*[^\s/*]/.test(line))
    console.log(`core: ${core.length} lines, ${code.length} without comments and blank lines`)
    for (const { path, text } of sources) {
      if (linesOf(text) > 250) console.log(`review ${path}: ${linesOf(text)} lines`)
    }
  }
})

describe("the published names", () => {
  it("are what the type check takes them for, each the source of what is built", () => {
    const { compilerOptions } = JSON.parse(read("tsconfig.json")) as {
      readonly compilerOptions: { readonly paths: Readonly<Record<string, readonly string[]>> }
    }
    const sourceOf = (target: string): string => target.replace("./dist/", "./src/").replace(/\.js$/, ".ts")
    const built = Object.entries(manifest.exports).map(([name, e]) => [`serin${name.slice(1)}`, [sourceOf(e.default)]])
    expect(compilerOptions.paths).toEqual(Object.fromEntries(built))
  })
})

describe("the repository", () => {
  const tracked = trackedFiles()

  it.skipIf(tracked === null)("tells nothing about who works on it, how, or on which machine", () => {
    const files = (tracked ?? []).filter((path) => !tellsOfWords(path) && existsSync(root + path))
    expect(files.length).toBeGreaterThan(10)
    const words = privateWords({ root, home: homedir(), registry: process.env["npm_config_registry"] ?? "" })
    expect(files.flatMap((path) => privateWordViolations(path, read(path), words))).toEqual([])
  })

  /** Files tracked by git; null where the sources were unpacked without it. */
  function trackedFiles(): string[] | null {
    if (!existsSync(`${root}.git`)) {
      console.warn("SKIPPED 1: the search for private words needs a git checkout")
      return null
    }
    return execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" }).split("\0").filter(Boolean)
  }

  /** The rules themselves, and a list of other people's packages. */
  function tellsOfWords(path: string): boolean {
    return path.startsWith("test/architecture") || path.endsWith("package-lock.json")
  }
})

describe("the import check", () => {
  const check = (path: string, text: string): string[] => importViolations({ path, text }, IMPORT_TABLE, declared)

  it.each([
    ["a concept folder that imports another", "src/session/a.ts", `import { x } from "../evidence/cells.js"`],
    ["a type of another concept folder", "src/analysis/a.ts", `import type { X } from "../rollout/state.js"`],
    ["an inline type import", "src/evidence/a.ts", `import { type X } from "../session/arm.js"`],
    ["a re-export", "src/release/a.ts", `export { x } from "../session/arm.js"`],
    ["a re-export of everything", "src/release/a.ts", `export * from "../session/arm.js"`],
    ["a re-exported type", "src/release/a.ts", `export type { X } from "../session/arm.js"`],
    ["a dynamic import", "src/rollout/a.ts", `const x = await import("../analysis/judge.js")`],
    ["an import type", "src/rollout/a.ts", `let x: import("../analysis/judge.js").X`],
    ["an import assignment", "src/rollout/a.ts", `import x = require("../analysis/judge.js")`],
    ["a require", "src/rollout/a.ts", `const x = require("../analysis/judge.js")`],
    ["a computed import in a pure folder", "src/analysis/a.ts", `await import(name)`],
    ["a guard that knows statistics", "src/guard/core.ts", `import { judge } from "../analysis/judge.js"`],
    ["a guard that steers the rollout", "src/guard.ts", `import { transition } from "./rollout/transition.js"`],
    ["a controller that knows hosts", "src/controller/leader.ts", `import { createGuard } from "../guard.js"`],
    ["a split guard reached from another unit", "src/controller/leader.ts", `import { x } from "../guard/core.js"`],
    ["a store that imports a source", "src/stores/http.ts", `import { x } from "../sources/local.js"`],
    ["the model that imports anything", "src/model/a.ts", `import { SerinError } from "../errors.js"`],
    ["errors that import the model", "src/errors.ts", `import type { Arm } from "./model/decision.js"`],
    ["an adapter that goes past the guard", "src/adapters/mcp.ts", `import { x } from "../release/run.js"`],
    ["a test kit that knows more than ports", "src/testing/a.ts", `import { x } from "../rollout/transition.js"`],
    ["the CLI that imports the entry", "src/cli/main.ts", `import { x } from "../index.js"`],
    ["an entry that imports a driver with a dependency", "src/index.ts", `export { x } from "./stores/redis.js"`],
    ["a unit that the table does not know", "src/misc/a.ts", `export {}`],
    ["an import without its suffix", "src/session/a.ts", `import { x } from "./arm"`],
    ["an import with the source's suffix", "src/session/a.ts", `import { x } from "./arm.ts"`],
    ["an import from outside of the sources", "src/session/a.ts", `import { x } from "../../test/shared.js"`],
    ["a package that belongs to another unit", "src/guard.ts", `import { z } from "zod"`],
    ["a subpath of such a package", "src/guard.ts", `import { z } from "zod/v4"`],
    ["a scoped package that belongs to another unit", "src/cli/a.ts", `import { x } from "@marcbachmann/cel-js"`],
    ["a package granted for its types alone", "src/guard.ts", `import { metrics } from "@opentelemetry/api"`],
    ["a package that is for development", "src/cli/main.ts", `import ts from "typescript"`],
    ["Node.js in a pure folder", "src/analysis/a.ts", `import { readFileSync } from "node:fs"`],
    ["Node.js without its prefix", "src/stores/file.ts", `import { readFileSync } from "fs"`],
    ["an import for its effect", "src/session/a.ts", `import "../evidence/cells.js"`],
  ])("flags %s", (_, path, text) => {
    expect(check(path, `// first line\n${text}`)).toHaveLength(1)
  })

  it("says where, what and what would be allowed", () => {
    expect(check("src/telemetry/a.ts", `\nimport { x } from "../session/arm.js"`)).toEqual([
      "src/telemetry/a.ts:2: telemetry may not import session/arm (it may import model, errors, evidence)",
    ])
  })

  it.each([
    ["its own folder", "src/session/a.ts", `import { x } from "./arm.js"`],
    ["the model and the errors", "src/analysis/a.ts", `import "../model/call.js"\nimport "../errors.js"`],
    ["a unit that the table grants", "src/guard.ts", `import { x } from "./session/arm.js"`],
    ["the other half of a split unit", "src/guard.ts", `import { x } from "./guard/core.js"`],
    ["a file that the table grants", "src/testing/a.ts", `import type { X } from "../rollout/store.js"`],
    ["anything below the CLI", "src/cli/main.ts", `import { x } from "../dashboard/handler.js"`],
    ["the types of a package granted for them", "src/guard.ts", `import type { X } from "@opentelemetry/api"`],
    ["inline types of such a package", "src/guard.ts", `import { type X, type Y } from "@opentelemetry/api"`],
    ["a module found at run time where effects live", "src/cli/a.ts", `await import(url)`],
    ["Node.js where effects live", "src/stores/file.ts", `import { link } from "node:fs/promises"`],
  ])("lets pass %s", (_, path, text) => {
    expect(importsOf({ path, text }).length).toBeGreaterThan(0)
    expect(check(path, text)).toEqual([])
  })

  it("is not fooled by comments and strings", () => {
    expect(importsOf({ path: "src/a.ts", text: `// import "x"\nconst a = 'import "y"'` })).toEqual([])
  })
})

describe("the file check", () => {
  it.each([
    ["src/session/utils.ts", 10],
    ["src/helpers/arm.ts", 10],
    ["src/model/types.ts", 10],
    ["src/common.ts", 10],
    ["src/session/index.ts", 10],
    ["src/session/startTime.ts", 10],
    ["src/Session/arm.ts", 10],
    ["src/session/start_time.ts", 10],
    ["src/session/arm.ts", 401],
  ])("flags %s of %i lines", (path, lines) => {
    expect(fileViolations(path, lines, published)).toHaveLength(1)
  })

  it.each(["src/index.ts", "src/testing/index.ts", "src/session/start-time.ts", "src/session/murmurhash3js.d.ts"])(
    "lets pass %s",
    (path) => {
      expect(fileViolations(path, 400, published)).toEqual([])
    },
  )
})

describe("the search for private words", () => {
  const words = privateWords({
    root: "/srv/build/serin",
    home: "/var/lib/dev",
    registry: "https://u:p@npm.inner.example/x",
  })

  it.each([
    "Co-authored-by: Somebody",
    "written by an AI",
    "a helper did this",
    "see issue 12",
    "cd /root/x",
    "open /home/somebody/serin",
    "in /work/main",
    "C:\\Users\\somebody",
    "https://registry.npmjs.org/zod",
    "/srv/build/serin/src/a.ts",
    "/var/lib/dev/.npmrc",
    "npm.inner.example",
  ])("finds %s", (text) => {
    expect(privateWordViolations("README.md", `fine\n${text}`, words).join()).toContain("README.md:2: ")
  })

  it.each([
    "the agent's tool call",
    "helpful",
    "an issue of trust",
    "https://example.com/homework/a",
    "npm install serin",
  ])("lets pass %s", (text) => {
    expect(privateWordViolations("README.md", text, words)).toEqual([])
  })
})
