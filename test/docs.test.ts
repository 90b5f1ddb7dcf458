import { existsSync, readdirSync, readFileSync } from "node:fs"
import { posix } from "node:path"
import { fileURLToPath } from "node:url"
import { beforeAll, describe, expect, it } from "vitest"
import { PACKAGES } from "../src/cli/framework.js"
import { starterCode } from "../src/cli/starter-code.js"
import { compileBlocks } from "./docs/compile.js"
import { headingsOf, namedScripts, parsePage, relativeLinks, type Block, type Page } from "./docs/markdown.js"

const root = fileURLToPath(new URL("..", import.meta.url)).replaceAll("\\", "/")
const docs = existsSync(`${root}docs`) ? readdirSync(`${root}docs`, { recursive: true, encoding: "utf8" }) : []
const pages: Page[] = ["README.md", ...docs.map((name) => `docs/${name.replaceAll("\\", "/")}`)]
  .filter((path) => path.endsWith(".md") && existsSync(root + path))
  .map((path) => ({ path, text: readFileSync(root + path, "utf8") }))

const isTypeScript = ({ language }: Block): boolean => ["ts", "typescript", "mts"].includes(language)

/** What `serin init` writes, for every package that is installed here. */
const starters = (Object.keys(PACKAGES) as (keyof typeof PACKAGES)[]).flatMap((framework) =>
  (framework === "none" ? [undefined] : PACKAGES[framework])
    .filter((from) => from === undefined || existsSync(`${root}node_modules/${from}`))
    .map((from): Block => {
      const asked = { framework, from, typescript: true, rollout: "safety/rollout.yaml", releases: "safety/releases" }
      return { path: `init for ${from ?? "none"}`, line: 1, language: "ts", note: "", code: starterCode(asked) }
    }),
)

/** Packages of `test/frameworks` alone: what imports them compiles there (test/frameworks/recipes.test.ts). */
const elsewhere = ["@mastra/core", "@strands-agents/sdk", "@google/adk"]
const compilesElsewhere = ({ code }: Block): boolean =>
  elsewhere.some((name) => code.includes(`from "${name}"`) || code.includes(`from "${name}/`))

describe("README.md and docs/", () => {
  const blocks = pages.flatMap((page) => parsePage(page).blocks).filter(isTypeScript)

  it(
    "hold TypeScript that compiles against the sources, and so does what `serin init` writes",
    { timeout: 120_000 },
    () => {
      if (blocks.length === 0) console.warn("no page has a block of TypeScript yet")
      // In one program with what `serin init` writes: the types of every framework are read once.
      expect(starters.map(({ path }) => path)).toEqual(expect.arrayContaining(["init for none", "init for ai"]))
      const here = blocks.filter((block) => !compilesElsewhere(block))
      expect(blocks.length === 0 ? [] : compileBlocks(root, [...here, ...starters])).toEqual([])
    },
  )

  it("leave to the other compiler one block for each of its packages", () => {
    expect(blocks.filter(compilesElsewhere).map(({ path }) => path)).toEqual(
      elsewhere.map(() => "docs/guide/adapters.md"),
    )
  })

  it("exempt no block from the compiler", () => {
    const exempt = blocks.filter((block) => block.note !== "" || /@ts-(nocheck|ignore)/.test(block.code))
    expect(exempt.map((block) => `${block.path}:${block.line - 1}: ${block.note}`)).toEqual([])
  })

  it("link to files that exist, and to headings that they have", () => {
    const headings = new Map(pages.map((page) => [page.path, headingsOf(page)]))
    const broken = pages.flatMap((page) =>
      relativeLinks(page).flatMap(({ line, target, heading }) => {
        const path = target === "" ? page.path : resolve(page.path, decodeURI(target))
        if (!existsSync(root + path)) return [`${page.path}:${line}: ${target} does not exist`]
        if (heading === undefined || headings.get(path)?.includes(heading) === true) return []
        return [`${page.path}:${line}: ${path} has no heading ${heading}`]
      }),
    )
    expect(broken).toEqual([])
  })

  it("are led to from README.md, each page of guides and reference", () => {
    const reached = new Set(["README.md"])
    for (const path of reached) {
      const page = pages.find((one) => one.path === path)
      for (const { target } of page === undefined ? [] : relativeLinks(page))
        reached.add(resolve(path, decodeURI(target)))
    }
    const lost = pages.filter(({ path }) => /^docs\/(guide|reference)\//.test(path) && !reached.has(path))
    expect(lost.map(({ path }) => path)).toEqual([])
  })

  it("number decisions one after the other, each once, as their titles do", () => {
    const decisions = pages.filter(({ path }) => path.startsWith("docs/decisions/"))
    const named = decisions.map(({ path }) => posix.basename(path).slice(0, 4)).toSorted()
    expect(named).toEqual(decisions.map((_, i) => String(i + 1).padStart(4, "0")))
    expect(decisions.filter(({ path, text }) => !text.startsWith(`# ${posix.basename(path).slice(0, 4)} `))).toEqual([])
  })

  it("name scripts that package.json has", () => {
    const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { scripts: Record<string, string> }
    const unknown = pages.flatMap((page) =>
      namedScripts(page)
        .filter(({ script }) => !Object.hasOwn(scripts, script))
        .map(({ line, script }) => `${page.path}:${line}: there is no script "${script}"`),
    )
    expect(unknown).toEqual([])
  })

  /** A target with a leading slash starts at the repository's root, as on a code host. */
  function resolve(page: string, target: string): string {
    return target.startsWith("/") ? target.slice(1) : posix.join(posix.dirname(page), target)
  }
})

describe("the compiler of blocks", { timeout: 60_000 }, () => {
  const good = [
    `import { SerinError } from "serin"\nconst error: Error = new SerinError("USAGE", "why")`,
    `import { fakeClock } from "serin/testing"\nfakeClock().advance(1)`,
    `const text = await Promise.resolve("text")`,
    `const text = 1`,
  ]
  const bad = [
    ["an export that is not there", `import { nothing } from "serin"`, 10, "has no exported member 'nothing'"],
    ["an entry that is not published", `\nimport { x } from "serin/secret"`, 11, "Cannot find module 'serin/secret'"],
    ["a wrong type", `import { SerinError } from "serin"\n\nnew SerinError("NOT_A_CODE", "")`, 12, "not assignable"],
    ["an implicit any", `const f = (x) => x`, 10, "implicitly has an 'any' type"],
    ["an unchecked index", `const [a] = [""]\nconst n: number = ["a"][0].length`, 11, "possibly 'undefined'"],
    ["an unknown name", `guard.evaluate()`, 10, "Cannot find name 'guard'"],
    ["a syntax error", `const = 1`, 10, "Variable declaration expected"],
  ] as const
  const block = (path: string, code: string): Block => ({ path, line: 10, language: "ts", note: "", code })
  let problems: readonly string[] = []

  beforeAll(() => {
    problems = compileBlocks(root, [
      ...good.map((code) => block("good.md", code)),
      ...bad.map(([name, code]) => block(`${name}.md`, code)),
    ])
  })

  it("passes what a reader could paste: package names, top-level await, unused names", () => {
    expect(problems.filter((problem) => problem.startsWith("good.md"))).toEqual([])
  })

  it.each(bad)("reports %s at its line of the page", (name, _, line, message) => {
    const [first] = problems.filter((problem) => problem.startsWith(`${name}.md:`))
    expect(first).toContain(message)
    expect(first).toContain(`${name}.md:${line}: `)
  })
})

describe("the reader of Markdown", () => {
  const page = (text: string): Page => ({ path: "docs/a/x.md", text })

  it("finds blocks with their language, note and first line, also indented and nested", () => {
    const text =
      "# t\n\n```ts\na\nb\n```\n- item\n  ```typescript no-check\n  c\n    d\n  ```\n````md\n```ts\nx\n```\n````\n~~~sh\ny\n~~~"
    expect(parsePage(page(text)).blocks).toEqual([
      { path: "docs/a/x.md", line: 4, language: "ts", note: "", code: "a\nb" },
      { path: "docs/a/x.md", line: 9, language: "typescript", note: "no-check", code: "c\n  d" },
      { path: "docs/a/x.md", line: 13, language: "md", note: "", code: "```ts\nx\n```" },
      { path: "docs/a/x.md", line: 18, language: "sh", note: "", code: "y" },
    ])
  })

  it("refuses a fence that is never closed", () => {
    expect(() => parsePage(page("\n```ts\na"))).toThrow("docs/a/x.md:2: the fence is never closed")
  })

  it("finds relative links and leaves the others", () => {
    const text = [
      "[a](b.md) and [c](../d.md#part 'title') ![e](f.svg)",
      "[web](https://example.com) [mail](mailto:a@example.com) [here](#part) `[code](none.md)`",
      "[label]: ./g.md",
      '<img src="h.png">',
      "```\n[in code](none.md)\n```",
    ].join("\n")
    expect(relativeLinks(page(text))).toEqual([
      { line: 1, target: "b.md" },
      { line: 1, target: "../d.md", heading: "part" },
      { line: 1, target: "f.svg" },
      { line: 2, target: "", heading: "part" },
      { line: 3, target: "./g.md" },
      { line: 4, target: "h.png" },
    ])
  })

  it("calls headings as code hosts do", () => {
    const text = "# The `a_b` of C++\n## What fails, and how\n## [x](y.md)\n```\n# no heading\n```\n## x"
    expect(headingsOf(page(text))).toEqual(["the-a_b-of-c", "what-fails-and-how", "x", "x-1"])
  })

  it("finds scripts in prose and in blocks", () => {
    expect(namedScripts(page("`npm run build:js`.\n```sh\nnpm ci && npm test\nnpm run --silent demo\n```"))).toEqual([
      { line: 1, script: "build:js" },
      { line: 3, script: "test" },
      { line: 4, script: "demo" },
    ])
  })
})
