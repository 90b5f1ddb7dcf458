import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { openFeatureStore, withKillFlag } from "../../src/adapters/openfeature.js"
import { aegisScanner } from "../../src/engines/aegis-scanner.js"
import { authensorEngine } from "../../src/engines/authensor.js"
import { cedarEngine } from "../../src/engines/cedar.js"
import { opaServer } from "../../src/engines/opa-server.js"
import { opaEngine } from "../../src/engines/opa.js"
import { sentinelMonitor } from "../../src/engines/sentinel-monitor.js"
import { prometheusSource } from "../../src/sources/prometheus.js"
import { etcdStore } from "../../src/stores/etcd.js"
import { fileStore } from "../../src/stores/file.js"
import { httpSink, httpStore } from "../../src/stores/http.js"
import { memoryStore } from "../../src/stores/memory.js"
import { redisStore } from "../../src/stores/redis.js"
import { signedStore, trustedStore } from "../../src/stores/signed.js"
import { parsePage } from "./markdown.js"
import { firstColumn, readPage } from "./pages.js"

const root = fileURLToPath(new URL("../..", import.meta.url))
const PORTS = ["stores", "engines", "adapters", "sources"]
const SECTIONS = ["Install", "Use", "Options", "Capabilities", "What fails, and how it shows", "Limits", "Measured"]
const pages = PORTS.flatMap((port) =>
  readdirSync(`${root}docs/reference/${port}`).map((name) => `reference/${port}/${name}`),
)

/** What makes each driver, by its page. */
const MAKERS: Readonly<Record<string, readonly ((options: never) => unknown)[]>> = {
  "stores/file": [fileStore],
  "stores/redis": [redisStore],
  "stores/etcd": [etcdStore],
  "stores/http": [httpStore, httpSink],
  "stores/signed": [
    (options) => trustedStore(memoryStore(), options),
    (options) => signedStore(memoryStore(), options),
  ],
  "sources/prometheus": [prometheusSource],
  "engines/cedar": [cedarEngine],
  "engines/opa": [opaEngine, opaServer],
  "engines/authensor": [authensorEngine, aegisScanner, sentinelMonitor],
  "adapters/openfeature": [openFeatureStore, (options) => withKillFlag(memoryStore(), options)],
}

/** The options that a driver has: it says so to whoever gives it another one. */
function optionsOf(make: (options: never) => unknown): readonly string[] {
  try {
    make({ zzzzzzzzzzzzzzzz: 1 } as never)
  } catch (error) {
    const [, options] = /its options are (.+)$/.exec(error instanceof Error ? error.message : "") ?? []
    if (options !== undefined) return options.split(", ")
  }
  throw new Error(`${make.name} takes an option that there is not`)
}

describe("the page of a driver", () => {
  it("is there for each entry of the package that is one", () => {
    const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as { exports: Record<string, unknown> }
    const drivers = Object.keys(exports).filter((entry) => PORTS.some((port) => entry.startsWith(`./${port}/`)))
    expect(drivers.length).toBeGreaterThan(10)
    const lost = drivers.filter((entry) => !pages.includes(`reference/${entry.slice(2)}.md`))
    expect(lost).toEqual([])
  })

  it.each(pages)("has the sections of all others, in their order: %s", (name) => {
    const { prose } = parsePage(readPage(name))
    const found = [...prose.matchAll(/^## (.+)$/gm)].map(([, text]) => text)
    expect(found.slice(0, SECTIONS.length)).toEqual(SECTIONS)
    const empty = prose.split(/^## /m).filter((section) => section.trim().split("\n").length < 2)
    expect(empty.filter((section) => !/^(Use|Install)\n/.test(section))).toEqual([])
  })

  it.each(pages)("is led to by the page of the ports, and leads back: %s", (name) => {
    const local = name.replace("reference/", "")
    expect(readPage("reference/ports.md").text).toContain(`](${local}`)
    expect(readPage(name).text).toMatch(/\]\(\.\.\/(ports|adapters)\.md/)
  })

  it.each(Object.entries(MAKERS))("names every option of its driver: %s", (name, makers) => {
    const known = firstColumn(readPage(`reference/${name}.md`))
    const options = makers.flatMap(optionsOf)
    expect(options.length).toBeGreaterThan(0)
    expect(options.filter((option) => !known.includes(option))).toEqual([])
  })
})
