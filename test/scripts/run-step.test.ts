import { readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { describe, expect, it } from "vitest"
import { runStep, type StepOptions } from "../../scripts/run-step.js"

const options: StepOptions = { cwd: tmpdir(), env: process.env, show: false }
const node = (program: string, more: Partial<StepOptions> = {}) =>
  runStep([process.execPath, "-e", program], { ...options, ...more })

describe("a step of the test run", () => {
  it("is well when its command exits with 0, and keeps what it said on both streams", async () => {
    const result = await node(`console.log("out"); console.error("err")`)
    expect(result.error).toBeNull()
    expect(result.output.split("\n").toSorted()).toEqual(["err", "out"])
  })

  it("fails with the exit code of its command", async () => {
    expect(await node(`console.log("why"); process.exit(3)`)).toEqual({ error: "ended with code 3", output: "why" })
  })

  it("fails when its command is ended by a signal", async () => {
    expect((await node(`process.kill(process.pid, "SIGTERM")`)).error).toBe("ended with SIGTERM")
  })

  it("fails when its command does not exist", async () => {
    expect((await runStep(["serin-no-such-command"], options)).error).toContain("ENOENT")
  })

  it("is ended when it takes too long", async () => {
    expect((await node(`setInterval(() => {}, 1000)`, { limitMs: 200 })).error).toBe("took longer than 0.2 s")
  })

  it("reads no standard input", async () => {
    expect((await node(`process.stdin.on("end", () => console.log("end")).resume()`)).output).toBe("end")
  })

  it("fails when it leaves a process behind, and ends that process", async () => {
    const leave = `const { spawn } = require("node:child_process")
      const left = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" })
      left.unref()
      console.log(left.pid)`
    const { error, output } = await node(leave, { graceMs: 100 })
    expect(error).toBe("left processes behind")
    expect(Number(output)).toBeGreaterThan(1)
    await expect.poll(() => hasEnded(Number(output)), { timeout: 5_000 }).toBe(true)
  })

  /** Ended, or ended with nobody to ask how. */
  function hasEnded(pid: number): boolean {
    try {
      process.kill(pid, 0)
      return process.platform === "linux" && /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))
    } catch {
      return true
    }
  }
})
