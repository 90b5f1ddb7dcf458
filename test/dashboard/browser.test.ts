import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import axe from "axe-core"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { ensureState, readState } from "../../src/controller/verbs.js"
import { dashboardHandler, operators, type DashboardOptions } from "../../src/dashboard.js"
import { embed, type Embedded } from "../../src/embed.js"
import type { DecisionLogEntry } from "../../src/model/decision-entry.js"
import { parseSpec } from "../../src/rollout/spec.js"
import { listen, type Listening } from "../../src/serve/listen.js"
import { memoryStore } from "../../src/stores/memory.js"
import { fakeClock, type FakeClock } from "../../src/testing/fake-clock.js"
import { chromiumPath, startChromium } from "../servers/chromium.js"

const NAME = "refund-agent"
const path = chromiumPath()
if (path === null) console.warn("SKIPPED 4: the tests of the dashboard's page need chromium on PATH")

/** Screenshots, for people to look at: git ignores them. */
const SHOTS = fileURLToPath(new URL("../../.ci/out/dashboard/", import.meta.url))

describe.skipIf(path === null)("the dashboard's page in a browser", () => {
  let browser: Browser
  const ends: (() => unknown)[] = []

  beforeAll(async () => {
    mkdirSync(SHOTS, { recursive: true })
    browser = await startChromium(path ?? "")
  })
  afterAll(() => browser?.close())
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  /** A rollout of an application, and a page that shows it. Whatever the page must not do fails the test at its end. */
  async function open(options: Partial<DashboardOptions> = {}, context: BrowserContextOptions = {}) {
    const app = await application()
    const handler = dashboardHandler({
      store: app.store,
      rollouts: [NAME],
      authorize: (_, access) => (access === "read" ? true : { actor: "ana" }),
      clock: app.clock,
      log: async function* () {
        yield* app.log
      },
      releases: RELEASES,
      ...options,
    })
    const server: Listening = await listen(handler, { port: 0 })
    ends.push(() => server.close())
    const page = await browser.newPage(context)
    ends.push(() => page.close())
    const wrong: string[] = []
    page.on("request", (request) => {
      if (!request.url().startsWith(server.url)) wrong.push(`asks elsewhere: ${request.url()}`)
    })
    page.on("console", (message) => {
      // A browser counts answers of 401 and 409 among errors; they are the test's own.
      if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) wrong.push(message.text())
    })
    page.on("pageerror", (error) => wrong.push(String(error)))
    ends.push(() => expect(wrong).toEqual([]))
    page.setDefaultTimeout(20_000)
    await page.goto(`${server.url}${options.basePath ?? ""}/`)
    return { page, ...app, url: server.url }
  }

  async function application() {
    const dir = mkdtempSync(join(tmpdir(), "serin-page-"))
    ends.push(() => rmSync(dir, { recursive: true, force: true }))
    writeFileSync(join(dir, "rollout.yaml"), SPEC)
    const store = memoryStore()
    const clock = fakeClock(Date.UTC(2026, 0, 1))
    const log: DecisionLogEntry[] = []
    const decisionLog = { write: (batch: readonly DecisionLogEntry[]) => void log.push(...batch) }
    const guard = await embed({ rollout: join(dir, "rollout.yaml"), store, clock, start: true, decisionLog })
    ends.push(() => guard.close())
    return { store, clock, guard, log, play: playing(guard, clock) }
  }

  it("shows a whole rollout live: it starts, criteria close in, people act by keyboard, a breach rolls it back, a kill ends it", async () => {
    const { page, play } = await open()
    await page.getByText("◐ in shadow").waitFor()
    await play(8, 0)
    await page.getByRole("cell", { name: "… open" }).first().waitFor()
    await page.getByRole("img", { name: /^deny rate delta over time, \d+ looks/ }).waitFor()
    await shoot(page, "1-shadow-light")
    await play(14, 0)
    await page.getByText("▲ canary at 10 %").waitFor()
    await page.getByRole("row", { name: /advance .* 10 %/ }).waitFor()
    await page.getByRole("cell", { name: "✓ pass" }).first().waitFor()

    await pressOn(page, "Pause")
    await page.getByRole("dialog", { name: "Pause refund-agent?" }).waitFor()
    await shoot(page, "2-question")
    // Without a reason nothing happens, and Escape takes the question back.
    await pressOn(page, "Pause", "dialog")
    expect(await page.getByRole("dialog").isVisible()).toBe(true)
    await page.keyboard.press("Escape")
    await page.getByRole("dialog").waitFor({ state: "hidden" })
    await pressOn(page, "Pause")
    await page.keyboard.type("looking at <b>refunds</b>")
    await pressOn(page, "Pause", "dialog")
    await page.getByText("paused for 0s").waitFor()
    await page.getByText("pause by ana").waitFor()
    await page.getByRole("cell", { name: "looking at <b>refunds</b>" }).waitFor()
    await page.getByText("✓ Done: canary at 10 %.").waitFor()
    await pressOn(page, "Resume")
    await page.keyboard.type("refunds are fine")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.getByText("resume by ana").waitFor()

    await play(12, 40)
    await page.getByText("↩ rolled back").waitFor()
    await page.getByText(/^Why: rollback by .*deny rate/).waitFor()
    await page.getByRole("cell", { name: /^≠ \d/ }).first().waitFor()
    await accessible(page)
    await shoot(page, "3-rolled-back-light")

    await pressOn(page, "Kill")
    await page.getByLabel("nobody: every call is denied").check()
    await page.getByLabel("Reason").fill("neither can be trusted")
    await page.getByRole("dialog").getByRole("button", { name: "Kill" }).click()
    await page.getByText("■ killed: every call is denied").waitFor()
    await shoot(page, "4-killed")
  })

  it("is as good in the dark, on a phone, for who has to sign in, and below a path of somebody else's", async () => {
    const token = "0123456789abcdef"
    const { page, play, guard, url } = await open(
      { authorize: operators({ ana: token }), basePath: "/admin/serin" },
      { colorScheme: "dark", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
    )
    await page.goto(`${url}/admin/serin`)
    await page.getByLabel("Token").fill("not the token 000")
    await page.getByRole("button", { name: "Sign in" }).tap()
    await page.getByText(/^That token is not accepted/).waitFor()
    await page.getByLabel("Token").fill(token)
    await page.getByRole("button", { name: "Sign in" }).tap()
    await page.getByText("◐ in shadow").waitFor()
    await page.getByText("signed in as ana").waitFor()
    expect(await page.context().cookies()).toEqual([])
    await play(4, 1)
    await page.getByText(/^\d+ calls; the releases agreed/).waitFor()
    await accessible(page)
    await shoot(page, "5-phone-dark")
    const wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    expect(wide).toBeLessThanOrEqual(0)
    // What stops it is on the first screen.
    const box = await page.getByRole("button", { name: "Kill" }).boundingBox()
    expect((box?.y ?? 844) + (box?.height ?? 0)).toBeLessThan(844)

    await page.getByRole("button", { name: "Promote" }).tap()
    await guard.act({ type: "pause", actor: { kind: "human", id: "bo" }, reason: "<img src=x onerror=alert(1)>" })
    await page.getByLabel("Reason").fill("it is fine")
    await page.getByRole("dialog").getByRole("button", { name: "Promote" }).tap()
    await page.getByText(/^nothing was done: you saw revision \d+, and it is .* now \(pause by bo\)/).waitFor()
    expect(await page.locator("img").count()).toBe(0)
  })

  it("finds rollouts that come later, and does to one what was asked about it, though another is shown by then", async () => {
    let names: string[] = []
    const { page, store, clock } = await open({ rollouts: () => names })
    await page.getByText("There is no rollout here yet.").waitFor()
    names = [NAME, "chat-agent"]
    const spec = parseSpec(SPEC.replace(NAME, "chat-agent"), { path: "rollout.yaml" })
    await ensureState(store, spec, { kind: "human", id: "ana" }, clock.now())
    await page.getByText("◐ in shadow").waitFor()
    await pressOn(page, "Kill")
    await page.getByRole("dialog", { name: "Kill refund-agent?" }).waitFor()
    await page.evaluate("location.hash = '#/chat-agent'")
    await page.getByText("○ idle").waitFor()
    await page.getByLabel("Reason").fill("it deletes accounts")
    await page.getByRole("dialog").getByRole("button", { name: "Kill" }).click()
    await page.getByRole("dialog").waitFor({ state: "hidden" })
    expect(await readState(store, NAME)).toMatchObject({ kill: "stable" })
    expect(await readState(store, "chat-agent")).toMatchObject({ kill: "off" })
  })

  it("shows where the releases disagree, has a call drawn, replayed and labelled by the keyboard alone", async () => {
    const { page, play } = await open()
    await play(6, 8)
    const panel = page.getByRole("region", { name: "Where the releases disagree" })
    await panel.getByRole("row", { name: /newly denied.*allow → deny/ }).waitFor()
    await panel.getByRole("button", { name: "Draw one to label" }).press("Enter")
    const drawn = panel.getByRole("article")
    await drawn.getByText(/stable: allow/).waitFor()
    await drawn.getByRole("button", { name: "Replay" }).press("Enter")
    await drawn.getByText("canary 1.5.0: deny").waitFor()
    await drawn.getByText("both answer as they did").waitFor()
    await drawn.getByRole("button", { name: "wrong" }).press("Enter")
    await panel.getByText(/Of 1 drawn at random and labelled, the canary is wrong in 1/).waitFor()
    await accessible(page)
    await shoot(page, "disagreements")
  })

  it("shows calls of nobody to those who may only read, and what is in them as text", async () => {
    const { page, store } = await open({ authorize: (_, access) => access === "read" })
    const state = (await store.get(`${NAME}/state`))!
    const { revision, generation } = JSON.parse(state.envelope) as { revision: number; generation: number }
    const side = { outcome: "deny", rule: "<img src=x onerror=alert(1)>" }
    const diffs = [{ action: "<b>refund</b>", stable: side, canary: { outcome: "allow" }, calls: 3, sessions: 3 }]
    const report = { format: "serin/report/1", rollout: NAME, revision, generation, at: 0, verdict: null, diffs }
    const current = await store.get(`${NAME}/report`)
    await store.compareAndSet(`${NAME}/report`, current?.revision ?? 0, JSON.stringify(report))
    const panel = page.getByRole("region", { name: "Where the releases disagree" })
    await panel.getByText("To see calls, sign in.").waitFor()
    await panel.getByRole("rowheader", { name: "<b>refund</b>" }).waitFor()
    expect(await panel.getByRole("button").filter({ visible: true }).count()).toBe(0)
    expect(await panel.locator("img, b").count()).toBe(0)
  })
})

/** Go to a button by the Tab key alone, and press it. */
async function pressOn(page: Page, name: string, within: "page" | "dialog" = "page"): Promise<void> {
  for (let i = 0; i < 60; i++) {
    const isIt = `((at) => at.tagName === "BUTTON" && at.textContent === "${name}" && (at.closest("dialog") !== null) === ${within === "dialog"})(document.activeElement)`
    if (await page.evaluate(isIt)) return page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
  }
  throw new Error(`the Tab key does not lead to ${name}`)
}

const SPEC = `
rollout: ${NAME}
stable: 1.4.0
canary:
  release: 1.5.0
  stages: [10, 100]
  observation_period: 20m
  shadow: { period: 20m }
  acceptance_criteria: { deny_rate_delta_max: 0.02, newly_allowed_rate_max: 0.005, error_rate_delta_max: 0.05, latency_p99_delta_max: 50ms }
`

/** What a replay asks: the policies of the application are wrapped functions. */
const RELEASES = new Map(
  Object.entries({ "1.4.0": "allow", "1.5.0": "deny" } as const).map(([version, outcome]) => [
    version,
    { version, policy: { evaluate: () => outcome } },
  ]),
)

interface Envelope {
  readonly session: string
  readonly n: number
}

/** Minutes of traffic, after each of which the rollout is judged. */
function playing(guard: Embedded, clock: FakeClock) {
  let broken = 0
  let sessions = 0
  const evaluate = guard.wrap(
    ({ n }: Envelope) => ({ permitted: n % 5 !== 0 }),
    ({ n }: Envelope) => ({ permitted: n % 5 !== 0 && n % 100 >= broken }),
    {
      session: ({ session }) => session,
      outcome: ({ permitted }) => (permitted ? "allow" : "deny"),
      denied: () => ({ permitted: false }),
    },
  )
  return async (minutes: number, brokenPercent: number): Promise<void> => {
    broken = brokenPercent
    for (let minute = 0; minute < minutes; minute++) {
      for (let i = 0; i < 30; i++) {
        clock.advance(2000)
        sessions++
        for (let n = 0; n < 4; n++) evaluate({ session: `session-${sessions}`, n: sessions * 7 + n * 13 })
      }
      await guard.idle()
      await guard.judge()
    }
    await clock.settle()
  }
}

/** Nothing on the page keeps anybody out. */
async function accessible(page: Page): Promise<void> {
  // As the browser's own, so that the page's policy need not allow it.
  const found = await page.evaluate(`(() => { ${axe.source}; return window.axe.run() })()`)
  const { violations } = found as { violations: { id: string; nodes: { html: string }[] }[] }
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`)).toEqual([])
}

async function shoot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true })
}
