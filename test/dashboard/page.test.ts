import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { gunzipSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { operators } from "../../src/dashboard.js"
import { serveDashboard } from "./served.js"

const folder = fileURLToPath(new URL("../../src/dashboard/page/", import.meta.url))
const sources = readdirSync(folder).filter((name) => name.endsWith(".js"))

describe("the dashboard's page", () => {
  it("is sent to whoever asks, with nothing of any rollout in it, compressed for who can read that", async () => {
    const { get } = await serveDashboard({ authorize: () => false })
    const page = await get("")
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8")
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'")
    const text = await page.text()
    const zipped = await get("", { "accept-encoding": "br, gzip" })
    expect(zipped.headers.get("content-encoding")).toBe("gzip")
    expect(gunzipSync(await zipped.arrayBuffer()).toString()).toBe(text)
    expect((await get("", { "accept-encoding": "gzip;q=0" })).headers.get("content-encoding")).toBe(null)
  })

  it("finds all of its files beside it, by relative names that a base path does not change", async () => {
    const { get } = await serveDashboard({ basePath: "/admin/serin" }, "/admin/serin")
    const links = [...(await (await get("")).text()).matchAll(/(?:href|src)="([^#"]+)"/g)].map(([, name = ""]) => name)
    expect(links).toContain("app.js")
    for (const name of [...links, ...sources]) {
      expect(name).not.toMatch(/^(\/|[a-z]+:)/)
      expect((await get(name)).status).toBe(200)
    }
  })

  it("leads to its own folder when the slash is missing", async () => {
    const { handler } = await serveDashboard({ basePath: "/admin/serin" })
    const { status, headers } = await handler(new Request("http://localhost/admin/serin"))
    expect({ status, location: headers.get("location") }).toEqual({ status: 308, location: "serin/" })
  })

  it.each(["../handler.ts", "..%2fhandler.ts", "tsconfig.json", "app.js/", "//app.js", "__proto__"])(
    "sends no other file: %s",
    async (name) => {
      const { get } = await serveDashboard()
      expect((await get(name)).status).toBe(404)
    },
  )

  it("reads no text as markup or code, and asks nobody else", () => {
    expect(sources.length).toBeGreaterThan(5)
    const risky = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|https?:/
    expect(sources.filter((name) => risky.test(readFileSync(folder + name, "utf8")))).toEqual([])
  })
})

describe("operators", () => {
  const request = (token?: string): Request =>
    new Request("http://localhost/", token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })

  it("act in the name of their own token; others read, where somebody says so", async () => {
    const tokens = { ana: "0123456789abcdef", bo: "fedcba9876543210" }
    const authorize = operators(tokens, () => true)
    expect(await authorize(request(tokens.bo), "act")).toEqual({ actor: "bo" })
    expect(await authorize(request(tokens.ana), "read")).toEqual({ actor: "ana" })
    expect(await authorize(request("0123456789abcdeX"), "act")).toBe(false)
    expect(await authorize(request(), "read")).toBe(true)
    expect(await operators(tokens)(request(), "read")).toBe(false)
  })

  it("need tokens that cannot be guessed, each their own", () => {
    expect(() => operators({ ana: "short" })).toThrow("16 characters")
    expect(() => operators({ ana: "0123456789abcdef", bo: "0123456789abcdef" })).toThrow("somebody else")
  })
})
