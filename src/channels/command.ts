import type { ChildProcess } from "node:child_process"
import type { Socket } from "node:net"
import { SerinError } from "../errors.js"
import { requireClock, systemClock, type Clock } from "../model/clock.js"
import { refuseUnknown, type KeysOf } from "../model/options.js"
import type { Message } from "../notify/message.js"
import { requireNamed, type ChannelOptions, type NotifyChannel } from "../notify/notify-channel.js"
import { DEFAULT_TIMEOUT_MS, requireTimeout } from "./post.js"

/** Options of `command()`. */
export interface CommandOptions extends ChannelOptions {
  /** A program and its arguments, as they are: no shell reads them. */
  readonly run: readonly string[]
  /** Where it runs. Default: where this process does. */
  readonly cwd?: string | undefined
  /** Its environment. Default: that of this process. The variables `SERIN_…` of the message are added to it. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Longest time that it may take, ms, 1 to 30,000. Default 10,000; then it is killed, with all that it began. */
  readonly timeoutMs?: number | undefined
  readonly clock?: Clock | undefined
}

const OPTIONS: KeysOf<CommandOptions> = {
  name: true,
  on: true,
  run: true,
  cwd: true,
  env: true,
  timeoutMs: true,
  clock: true,
}

/** What a machine lacks for a while. */
const SHORT: ReadonlySet<string> = new Set(["EAGAIN", "EMFILE", "ENFILE", "ENOMEM"])
/** Of what it says when it fails, for people. */
const MAX_TOLD = 500

/**
 * Tell a program: the message as JSON on its stdin, names in its environment. 0 says that somebody was told; any other exit code is tried
 * again. Throws `TypeError` and `RangeError` for options that cannot be meant.
 */
export function command(options: CommandOptions): NotifyChannel {
  refuseUnknown("command", options, OPTIONS)
  const { name = "command", on, run, cwd, env = process.env, clock = systemClock } = options
  requireNamed("command", { name, on })
  requireClock(clock)
  if (!Array.isArray(run) || run.length === 0 || !run.every((word) => typeof word === "string") || run[0] === "") {
    throw new TypeError(
      `command.run must be a list of a program and its arguments, got ${typeof run}; write ["./page.sh", "--urgent"]`,
    )
  }
  const timeoutMs = requireTimeout("command.timeoutMs", options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  const [program = "", ...args] = run as readonly string[]
  return {
    name,
    on,
    async send(message, { signal, idempotencyKey }) {
      // Loaded here: it takes longer than all of this package, and most applications have no such channel.
      const { spawn } = await import("node:child_process")
      await new Promise<void>((resolve, reject) => {
        const child = spawn(program, args, {
          cwd,
          env: { ...env, ...variables(message, idempotencyKey) },
          stdio: ["pipe", "ignore", "pipe"],
          // A group of its own, so that what it began ends with it.
          detached: true,
        })
        // Not there where it could not be begun for lack of open files: then all that comes is "error".
        const { stdin, stderr } = child as Partial<typeof child>
        let told = ""
        let late = false
        const stop = (): void => {
          late = true
          killGroup(child)
          // Who left the group, and goes on, holds it open: nobody would ever hear that the program has ended.
          stderr?.destroy()
        }
        const cancel = clock.schedule(stop, timeoutMs)
        signal.addEventListener("abort", stop, { once: true })
        if (signal.aborted) stop()
        function settle(): void {
          cancel()
          signal.removeEventListener("abort", stop)
          stderr?.destroy()
        }

        child.once("error", (cause: NodeJS.ErrnoException) => {
          settle()
          const code = SHORT.has(cause.code ?? "") ? "CHANNEL_UNAVAILABLE" : "CHANNEL_REFUSED"
          reject(failed(code, `${program} cannot be run: ${cause.message}`, cause))
        })
        child.once("exit", (code) => {
          if (code !== 0) return
          settle()
          resolve()
        })
        // Not before it has said why.
        child.once("close", (code, by) => {
          settle()
          const how = late
            ? `did not end within ${timeoutMs} ms`
            : code === null
              ? `was ended by ${by}`
              : `exits with ${code}`
          const words = told.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ").trim()
          reject(failed("CHANNEL_UNAVAILABLE", `${program} ${how}${words === "" ? "" : `: ${words}`}`))
        })
        stderr?.setEncoding("utf8").on("data", (text: string) => void (told = (told + text).slice(0, MAX_TOLD)))
        // Who reads nothing, or ends before, need not have read it.
        stdin?.on("error", () => {})
        stdin?.end(JSON.stringify(message))
        // It keeps nobody alive who has nothing else to do.
        child.unref()
        for (const pipe of [stdin, stderr] as (Partial<Pick<Socket, "unref">> | undefined)[]) pipe?.unref?.()
      })
    },
  }
}

/** Names and numbers alone: what others wrote is on stdin, where no shell takes it for code. */
function variables(
  { rollout, kind, generation, revision, after }: Message,
  key: string,
): Readonly<Record<string, string>> {
  return {
    SERIN_KEY: key,
    SERIN_KIND: kind,
    SERIN_ROLLOUT: rollout,
    SERIN_GENERATION: `${generation}`,
    SERIN_REVISION: `${revision}`,
    SERIN_PHASE: after.phase,
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, "SIGKILL")
  } catch {
    // It has ended by itself.
  }
}

const failed = (code: "CHANNEL_REFUSED" | "CHANNEL_UNAVAILABLE", message: string, cause?: unknown): SerinError =>
  new SerinError(code, message, cause === undefined ? {} : { cause })
