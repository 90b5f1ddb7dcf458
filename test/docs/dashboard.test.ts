import { describe, expect, it } from "vitest"
import { routesOf } from "../../src/dashboard/routes.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { codeWords, readPage, tableRows } from "./pages.js"

describe("docs/reference/dashboard.md", () => {
  it("has every address below a rollout with its method, in the order in which they are listed", () => {
    const store = memoryStore()
    const { signal } = new AbortController()
    const context = {
      read: store,
      watched: store,
      stores: null,
      clock: fakeClock(),
      signal,
      approvalKeys: ["k"],
      tell: () => {},
    }
    const written = tableRows(readPage("reference/dashboard.md")).flatMap(([address = "", method = ""]) => {
      const path = /^\/api\/<rollout>\/(.+)$/.exec(codeWords(address)[0] ?? "")?.[1]
      return path === undefined ? [] : [`${method} ${path}`]
    })
    expect(written).toEqual(routesOf(context).map(({ method, path }) => `${method} ${path}`))
  })
})
