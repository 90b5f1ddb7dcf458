import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { describe, expect, it } from "vitest"
import { command } from "../../src/channels/command.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { messageWith } from "./message.js"

const signal = new AbortController().signal
const options = { signal, idempotencyKey: "demo/1/5" }
const node = (code: string): readonly string[] => [process.execPath, "-e", code]

describe("a command", () => {
  it("gets the message on its stdin and names in its environment, and its exit code is told with its own words", async () => {
    const code = `
      let text = ""
      process.stdin.on("data", (chunk) => (text += chunk)).on("end", () => {
        const { rollout, why } = JSON.parse(text)
        const { SERIN_KEY, SERIN_ROLLOUT, SERIN_KIND, SERIN_REVISION, SERIN_PHASE, PATH } = process.env
        process.stderr.write([rollout, why, SERIN_KEY, SERIN_ROLLOUT, SERIN_KIND, SERIN_REVISION, SERIN_PHASE, process.argv[1], PATH].join("|"))
        process.exitCode = 3
      })`
    const channel = command({ run: [...node(code), "$(id); `id`"], env: { PATH: "p" } })
    await expect(channel.send(messageWith({ why: "; rm -rf" }), options)).rejects.toMatchObject({
      code: "CHANNEL_UNAVAILABLE",
      message: `${process.execPath} exits with 3: demo|; rm -rf|demo/1/5|demo|test|0|idle|$(id); \`id\`|p`,
    })
  })

  it("is killed with all that it began when its time is over", async () => {
    const clock = fakeClock()
    const dir = await mkdtemp(join(tmpdir(), "serin-command-"))
    const file = join(dir, "pid")
    // Both would go on for a minute.
    const code = `
      const child = require("node:child_process").spawn(process.execPath, ["-e", "setTimeout(() => {}, 60000)"], { stdio: "ignore" })
      require("node:fs").writeFileSync(${JSON.stringify(file)}, child.pid + ".")
      setTimeout(() => {}, 60000)`
    const channel = command({ run: node(code), timeoutMs: 5000, clock })
    const sent = channel.send(messageWith(), options)
    const refused = expect(sent).rejects.toThrow(/ did not end within 5000 ms$/)
    await expect.poll(() => readFile(file, "utf8").catch(() => ""), { timeout: 20_000 }).toMatch(/\.$/)
    const pid = Number((await readFile(file, "utf8")).slice(0, -1))
    clock.advance(5000)
    await refused
    await expect.poll(() => isAlive(pid), { timeout: 20_000 }).toBe(false)
    await rm(dir, { recursive: true, force: true })
  })

  it("is over with its time although what it began has left it, and holds its words open", async () => {
    const clock = fakeClock()
    const dir = await mkdtemp(join(tmpdir(), "serin-command-"))
    const file = join(dir, "pid")
    const code = `
      const apart = { detached: true, stdio: ["ignore", "ignore", "inherit"] }
      const child = require("node:child_process").spawn("/bin/sleep", ["60"], apart)
      child.unref()
      require("node:fs").writeFileSync(${JSON.stringify(file)}, child.pid + ".")
      process.exitCode = 3`
    const sent = command({ run: node(code), timeoutMs: 5000, clock }).send(messageWith(), options)
    const refused = expect(sent).rejects.toThrow(/ did not end within 5000 ms$/)
    await expect.poll(() => readFile(file, "utf8").catch(() => ""), { timeout: 20_000 }).toMatch(/\.$/)
    clock.advance(5000)
    await refused
    process.kill(Number((await readFile(file, "utf8")).slice(0, -1)))
    await rm(dir, { recursive: true, force: true })
  })

  it("that is not there is not tried again", async () => {
    const channel = command({ run: ["/nowhere/page.sh"] })
    await expect(channel.send(messageWith(), options)).rejects.toMatchObject({ code: "CHANNEL_REFUSED" })
  })

  it("that ends before it has read anything has told somebody, if it says so", async () => {
    await command({ run: ["/bin/true"] }).send(messageWith({ why: "x".repeat(200_000) }), options)
  })

  it.each([
    [{ run: "page.sh" }, /command\.run must be a list of a program and its arguments/],
    [{ run: [] }, /must be a list/],
    [{ run: ["x"], shell: true }, /command has no option shell/],
  ])("refuses %o", (wrong, message) => {
    expect(() => command(wrong as never)).toThrow(message)
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
