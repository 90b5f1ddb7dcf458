#!/usr/bin/env node
import process from "node:process"
import { systemClock } from "../model/clock.js"
import type { Sink } from "./io.js"
import { run } from "./run.js"

const ended = new AbortController()
// Timers and watchers of the library keep no process alive; a command that has not answered does.
const alive = setInterval(() => {}, 2 ** 30)

// Once: a second Ctrl-C ends a process that does not come to an end by itself.
process.once("SIGINT", () => ended.abort())
process.once("SIGTERM", () => ended.abort())

process.exitCode = await run(process.argv.slice(2), {
  stdout: sinkOf(process.stdout),
  stderr: sinkOf(process.stderr),
  cwd: process.cwd(),
  env: process.env,
  clock: systemClock,
  signal: ended.signal,
  isTTY: process.stdout.isTTY === true,
  stderrIsTTY: process.stderr.isTTY === true,
  columns: process.stdout.columns ?? 80,
  terminal: {
    size: () => ({ columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 }),
    onResize(listener) {
      process.stdout.on("resize", listener)
      return () => void process.stdout.off("resize", listener)
    },
  },
})
clearInterval(alive)
// A module of a release may have left what keeps a process alive: only what is written is waited for.
setInterval(() => {
  if (process.stdout.writableLength + process.stderr.writableLength === 0) process.exit()
}, 1000).unref()

/** A reader that went away (`serin history | head -1`) is no failure: what is left to write is dropped, what is to do is done. */
function sinkOf(stream: NodeJS.WriteStream): Sink {
  let open = true
  stream.on("error", (error: NodeJS.ErrnoException) => {
    open = false
    ended.abort()
    if (error.code !== "EPIPE") process.exitCode = 1
  })
  return { write: (text) => open && stream.write(text) }
}
