import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, posix } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const run = promisify(execFile)
const root = fileURLToPath(new URL("..", import.meta.url))

interface Manifest {
  readonly name: string
  readonly version: string
  readonly exports: Readonly<Record<string, Readonly<Record<"types" | "default", string>>>>
  readonly bin?: Readonly<Record<string, string>>
}

interface Packed {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string }[]
}

const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as Manifest
const entries = Object.keys(manifest.exports).map((subpath) => manifest.name + subpath.slice(1))
const commands = Object.keys(manifest.bin ?? {})

/** Needs a build before it: `npm run build`. */
describe("the package, packed and installed in an empty project", () => {
  let project: string
  let packed: Packed

  beforeAll(async () => {
    if (!existsSync(join(root, "dist"))) throw new Error("dist/ is missing: run `npm run build` first")
    project = await mkdtemp(join(tmpdir(), "serin-package-"))
    const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], {
      cwd: root,
    })
    packed = (JSON.parse(stdout) as [Packed])[0]
    console.log(`${packed.filename}: ${packed.size} bytes, ${packed.unpackedSize} unpacked`)
    await writeFile(join(project, "package.json"), `{ "private": true }\n`)
    const quiet = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"]
    await run("npm", ["install", ...quiet, join(project, packed.filename)], { cwd: project })
  })

  afterAll(async () => {
    if (project !== undefined) await rm(project, { recursive: true, force: true })
  })

  /** Run a program in the project; it must end by itself and print one line of JSON. */
  async function program(file: string, text: string): Promise<unknown> {
    await writeFile(join(project, file), text)
    const { stdout, stderr } = await run(process.execPath, [file], { cwd: project, timeout: 20_000 })
    expect(stderr).toBe("")
    return JSON.parse(stdout)
  }

  it("holds what was built, docs, rules, dashboards, README.md, LICENSE and package.json, and nothing else", () => {
    const paths = packed.files.map((file) => file.path)
    expect(
      paths.filter(
        (path) =>
          !/^(dist\/.+\.(js|d\.ts)|dist\/dashboard\/page\/[\w.]+|docs\/.+\.md|docs\/reference\/cli\.schema\.json|prometheus\/.+\.yml|grafana\/serin\.json|README\.md|LICENSE|package\.json)$/.test(
            path,
          ),
      ),
    ).toEqual([])
    const published = Object.values(manifest.exports).flatMap((targets) => Object.values(targets))
    const files = [...published, ...Object.values(manifest.bin ?? {})].map((path) => path.replace("./", ""))
    expect(paths).toEqual(expect.arrayContaining([...files, "LICENSE", "package.json"]))
    if (existsSync(join(root, "README.md"))) expect(paths).toContain("README.md")
  })

  it("has every page that its README and its pages lead to", async () => {
    const paths = packed.files.map((file) => file.path)
    const lost: string[] = []
    for (const page of paths.filter((path) => path.endsWith(".md"))) {
      const text = await readFile(join(root, page), "utf8")
      for (const [, link = ""] of text.matchAll(/\]\(([^)#\s]+)/g)) {
        if (/^[a-z]+:/.test(link)) continue
        const target = posix.join(posix.dirname(page), link).replace(/\/$/, "")
        if (!paths.some((path) => path === target || path.startsWith(`${target}/`))) lost.push(`${page}: ${link}`)
      }
    }
    expect(lost).toEqual([])
  })

  it("is imported by every published name, prints nothing and keeps no process alive", async () => {
    const names = await program(
      "names.mjs",
      `const names = {}
       for (const entry of ${JSON.stringify(entries)}) names[entry] = Object.keys(await import(entry))
       console.log(JSON.stringify(names))`,
    )
    expect(Object.keys(names as object)).toEqual(entries)
    expect(names).toMatchObject({ serin: expect.arrayContaining(["SerinError", "isSerinError"]) })
    expect(names).toMatchObject({ "serin/testing": expect.arrayContaining(["fakeClock"]) })
  })

  it("is the same package to import and to require()", async () => {
    const same = await program(
      "same.cjs",
      `(async () => {
         const same = {}
         for (const entry of ${JSON.stringify(entries)}) {
           const [required, imported] = [require(entry), await import(entry)]
           const names = Object.keys(imported)
           same[entry] = names.length > 0 && names.every((name) => required[name] === imported[name])
         }
         console.log(JSON.stringify(same))
       })()`,
    )
    expect(same).toEqual(Object.fromEntries(entries.map((entry) => [entry, true])))
  })

  it("has one SerinError class across entries", async () => {
    const dist = join(project, "node_modules", manifest.name, "dist")
    const files = (await readdir(dist, { recursive: true })).filter((path) => path.endsWith(".js"))
    const texts = await Promise.all(files.map((path) => readFile(join(dist, path), "utf8")))
    const definitions = texts.flatMap((text) => text.match(/this\.name = "SerinError"/g) ?? [])
    expect(definitions).toHaveLength(1)
    const classes = await program(
      "classes.mjs",
      `const modules = await Promise.all(${JSON.stringify(entries)}.map((entry) => import(entry)))
       console.log(new Set(modules.map((m) => m.SerinError).filter(Boolean)).size)`,
    )
    expect(classes).toBe(1)
  })

  it("runs a scanner in a worker once piscina is installed, explains itself before, and keeps no process alive", async () => {
    await writeFile(
      join(project, "scanner.mjs"),
      `export const scan = (text) => ({ result: /^(a+)+$/.test(text) ? "flagged" : "clean" })`,
    )
    const text = `import { isolatedScanner } from "serin/isolate"
      const context = { sessionId: "a", startedAt: 0, direction: "input" }
      const module = new URL("./scanner.mjs", import.meta.url)
      try {
        const scanner = isolatedScanner({ name: "s", module, timeoutMs: 5000 })
        const reports = [await scanner.scan("aaa", context)]
        const slow = isolatedScanner({ name: "s", module, timeoutMs: 500 })
        reports.push(await slow.scan("a".repeat(60) + "!", context).catch((error) => error.message))
        console.log(JSON.stringify(reports))
      } catch ({ code, message, cause }) {
        console.log(JSON.stringify({ code, message, cause: cause.code }))
      }`
    expect(await program("isolated.mjs", text)).toMatchObject({
      code: "LIBRARY_MISSING",
      message: expect.stringContaining("npm install piscina"),
      cause: "MODULE_NOT_FOUND",
    })
    await symlink(join(root, "node_modules/piscina"), join(project, "node_modules/piscina"), "dir")
    expect(await program("isolated.mjs", text)).toEqual([{ result: "flagged" }, "no answer within 500 ms"])
  })

  it("serves the dashboard's page, all of it light, with the licence of the chart library", async () => {
    const text = `import { gunzipSync } from "node:zlib"
      import { memoryStore } from "serin"
      import { dashboardHandler } from "serin/dashboard"
      const handler = dashboardHandler({ store: memoryStore(), rollouts: [] })
      const files = {}
      for (const name of ["", "app.js", "style.css", "uplot.css", "icon.svg", "uplot.js"]) {
        const headers = { "accept-encoding": "gzip" }
        const answer = await handler(new Request("http://localhost/" + name, { headers }))
        const bytes = new Uint8Array(await answer.arrayBuffer())
        const text = answer.ok ? gunzipSync(bytes).toString() : ""
        files[name] = { status: answer.status, bytes: bytes.length, mit: text.includes("Permission is hereby granted"), links: [...text.matchAll(/(?:href|src)="([a-z.]+)"/g)].map(([, to]) => to) }
      }
      console.log(JSON.stringify(files))`
    const files = (await program("page.mjs", text)) as Record<
      string,
      { status: number; bytes: number; mit: boolean; links: string[] }
    >
    const page = Object.values(files).filter(({ status }) => status === 200)
    const bytes = page.reduce((sum, file) => sum + file.bytes, 0)
    console.log(`the dashboard's page: ${bytes} bytes, compressed`)
    expect(bytes).toBeLessThan(100 * 1024)
    expect(files["app.js"]?.mit).toBe(true)
    expect(files["uplot.js"]?.status).toBe(404)
    expect(files[""]?.links.length).toBeGreaterThan(2)
    expect(files[""]?.links.filter((name) => files[name]?.status !== 200)).toEqual([])
  })

  it("reaches for Redis once ioredis is installed, explains itself before, and keeps no process alive", async () => {
    const text = `import { redisStore } from "serin/stores/redis"
      const told = ({ code, message, cause }) => ({ code, message, cause: cause.code })
      try {
        const store = redisStore({ url: "redis://127.0.0.1:1" })
        store.watch("a/state", () => {}, { signal: new AbortController().signal })
        await store.get("a/state").catch((error) => console.log(JSON.stringify(told(error))))
      } catch (error) {
        console.log(JSON.stringify(told(error)))
      }`
    expect(await program("redis.mjs", text)).toMatchObject({
      code: "LIBRARY_MISSING",
      message: expect.stringContaining("npm install ioredis"),
      cause: "MODULE_NOT_FOUND",
    })
    await symlink(join(root, "node_modules/ioredis"), join(project, "node_modules/ioredis"), "dir")
    expect(await program("redis.mjs", text)).toMatchObject({ code: "STORE_UNAVAILABLE", cause: "ECONNREFUSED" })
  })

  it("judges with Cedar once its package is installed, and explains itself before", async () => {
    const text = `import { cedarEngine } from "serin/engines/cedar"
      try {
        const files = [{ path: "p.cedar", text: 'permit(principal, action == Action::"read", resource);' }]
        const policy = cedarEngine().compile(files)
        console.log(JSON.stringify(policy.evaluate({ action: "read" }, { sessionId: "a", startedAt: 0 })))
      } catch ({ code, message, cause }) {
        console.log(JSON.stringify({ code, message, cause: cause.code }))
      }`
    expect(await program("cedar.mjs", text)).toMatchObject({
      code: "LIBRARY_MISSING",
      message: expect.stringContaining("npm install @cedar-policy/cedar-wasm"),
      cause: "MODULE_NOT_FOUND",
    })
    const [scope, name] = ["@cedar-policy", "@cedar-policy/cedar-wasm"]
    await mkdir(join(project, "node_modules", scope))
    await symlink(join(root, "node_modules", name), join(project, "node_modules", name), "dir")
    expect(await program("cedar.mjs", text)).toEqual({ outcome: "allow", rule: "policy0" })
  })

  it("takes policies of OPA once their package is installed, and explains itself before", async () => {
    const text = `import { opaEngine } from "serin/engines/opa"
      try {
        opaEngine().compile([{ path: "p.wasm", text: "", bytes: new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]) }])
      } catch ({ code, message, cause }) {
        console.log(JSON.stringify({ code, message, cause: cause?.code }))
      }`
    expect(await program("opa.mjs", text)).toMatchObject({
      code: "LIBRARY_MISSING",
      message: expect.stringContaining("npm install @open-policy-agent/opa-wasm"),
      cause: "MODULE_NOT_FOUND",
    })
    const [scope, name] = ["@open-policy-agent", "@open-policy-agent/opa-wasm"]
    await mkdir(join(project, "node_modules", scope))
    await symlink(join(root, "node_modules", name), join(project, "node_modules", name), "dir")
    expect(await program("opa.mjs", text)).toMatchObject({ code: "RULES_INVALID" })
  })

  it("does not open what is not published", async () => {
    const code = await program(
      "closed.mjs",
      `console.log(JSON.stringify(await import("serin/dist/index.js").then(() => "opened", (error) => error.code)))`,
    )
    expect(code).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED")
  })

  it.each(commands)("has the command %s, which explains itself and knows its version", async (command) => {
    const bin = join(project, "node_modules", ".bin", command)
    const help = await run(bin, ["--help"], { cwd: project, timeout: 20_000 })
    expect(help.stdout.toLowerCase()).toContain("usage")
    const version = await run(bin, ["--version"], { cwd: project, timeout: 20_000 })
    expect(version.stdout).toContain(manifest.version)
  })
})
