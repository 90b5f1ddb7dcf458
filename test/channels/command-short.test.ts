import { EventEmitter } from "node:events"
import process from "node:process"
import { describe, expect, it, vi } from "vitest"
import { command } from "../../src/channels/command.js"
import { messageWith } from "./message.js"

// As Node.js leaves a child that it has no file left for: without pipes, and with an error to come.
vi.mock("node:child_process", () => ({
  spawn() {
    const child = Object.assign(new EventEmitter(), { unref() {} })
    process.nextTick(() => child.emit("error", Object.assign(new Error("spawn EMFILE"), { code: "EMFILE" })))
    return child
  },
}))

describe("a command", () => {
  it("that this machine has no file left for is tried again, and hurts nobody", async () => {
    const { signal } = new AbortController()
    await expect(
      command({ run: ["/bin/true"] }).send(messageWith(), { signal, idempotencyKey: "demo/1/5" }),
    ).rejects.toMatchObject({ code: "CHANNEL_UNAVAILABLE", message: "/bin/true cannot be run: spawn EMFILE" })
  })
})
