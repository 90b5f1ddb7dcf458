import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, it, vi } from "vitest"
import { embed } from "../../src/embed.js"
import { useBench } from "../cli/harness.js"
import { parsePage } from "./markdown.js"
import { settling } from "./settling.js"

// What is random must be the same each time, for the page shows it.
vi.spyOn(globalThis.crypto, "getRandomValues").mockImplementation((array) => array)

vi.mock(import("node:crypto"), async (original) => {
  let n = 0x5b84c7b4 // each is another, as drafts of the store are called by it
  return { ...(await original()), randomUUID: () => `${(++n).toString(16)}-0000-4000-8000-000000000000` as const }
})
vi.mock(import("node:os"), async (original) => ({ ...(await original()), hostname: () => "host" }))

const bench = useBench()
Object.defineProperty(process, "pid", { value: 17 })
const PAGE = fileURLToPath(new URL("../../docs/guide/terminal.md", import.meta.url))

/** The application: two sessions a minute, of which every fourth asks for a refund that the new limit denies. */
async function application(minutes: number): Promise<void> {
  const { clock, cwd } = bench()
  const { store, settled } = settling(bench().store)
  const paths = { rollout: join(cwd, "safety/rollout.yaml"), releases: join(cwd, "safety/releases") }
  const guard = await embed({ ...paths, store, clock })
  for (let minute = 0; minute < minutes; minute += 3) {
    for (let i = 0; i < 6; i++) {
      const n = minute * 2 + i
      const session = guard.session(`conversation-${n}`)
      for (const action of ["get_order", "search_orders", "issue_refund", "get_order"]) {
        session.evaluate({ action, input: { amount: n % 4 === 0 ? 700 : 40 } })
      }
    }
    await guard.idle()
    await settled()
    clock.setWall(clock.now() + 180_000) // no timer goes off: none may wait for an answer while time passes
    await guard.judge()
    await settled()
  }
  await guard.close()
}

it("docs/guide/terminal.md shows what the commands write", async () => {
  let session = ""
  const type = async (...argv: string[]): Promise<void> => {
    const { out, err, code } = await bench().serin(...argv)
    const words = argv.map((word) => (word.includes(" ") ? `"${word}"` : word)).join(" ")
    session += `$ npx serin ${words}\n${out}${err}`
    if (argv[0] === "status") session += `$ echo $?\n${code}\n`
    session += "\n"
  }
  await type("init")
  await type("start")
  await type("status")
  session += "# The application runs for an hour and a half; every fourth session asks for a refund of 700.\n\n"
  await application(90)
  await type("status")
  await type("explain")
  await type("history")
  await type("retry", "--reason", "the limit is 800 now")
  await type("kill", "--reason", "done for today")
  const text = readFileSync(PAGE, "utf8")
  if (process.env["SERIN_UPDATE_PAGES"] === "1") {
    writeFileSync(
      PAGE,
      text.replace(/```console\n[^]*?```/, () => `\`\`\`console\n${session.trimEnd()}\n\`\`\``),
    )
  }
  const [block] = parsePage({ path: PAGE, text: readFileSync(PAGE, "utf8") }).blocks
  // SERIN_UPDATE_PAGES=1 writes the page anew.
  expect(block?.code).toBe(session.trimEnd())
})
