import type { Redis } from "ioredis"
import { orGiveUp } from "../model/or-give-up.js"
import { lessPatience, withPatience } from "./patience.js"
import type { Patience } from "./patience.js"
import { resetSocket } from "./socket.js"

/** Longest wait for a connection that was used before to answer, ms; then it counts as dead, and the question is asked on a new one. */
const STALL_MS = 700

/** A connection that is made when it is needed and thrown away at the first doubt. */
export interface RedisLine {
  /** Ask what may be asked twice: of a connection that went dead, then of a new one. */
  ask<T>(patience: Patience, question: (client: Redis) => Promise<T>): Promise<T>
  /** Do what must not be done twice. `sent` is called when it is on its way. */
  once<T>(patience: Patience, sent: () => void, work: (client: Redis) => Promise<T>): Promise<T>
  /** Drop the connection: the next use makes a new one. */
  drop(): void
}

interface Connection {
  readonly client: Promise<Redis>
  /** Whether it has answered before. */
  used: boolean
}

/** `open` must bound how long it takes; all who wait for the connection meanwhile share it. */
export function redisLine(open: () => Promise<Redis>): RedisLine {
  let current: Connection | null = null

  function connection(): Connection {
    if (current !== null) return current
    const made: Connection = { client: open(), used: false }
    const forget = (): void => void (current === made && (current = null))
    made.client.then((client) => client.once("end", forget), forget)
    current = made
    return made
  }

  function drop(line: Connection | null): void {
    if (current === line) current = null
    void line?.client.then(reset, () => {})
  }

  async function run<T>(patience: Patience, line: Connection, work: (client: Redis) => Promise<T>): Promise<T> {
    const client = await orGiveUp(patience.signal, line.client)
    try {
      const answer = await orGiveUp(patience.signal, work(client))
      line.used = true
      return answer
    } catch (error) {
      if (!isReply(error)) drop(line)
      throw withoutCommand(error)
    }
  }

  return {
    async ask(patience, question) {
      for (;;) {
        const known = current
        const line = connection()
        try {
          if (!line.used) return await run(patience, line, question)
          return await lessPatience(patience, STALL_MS, (less) => run(less, line, question))
        } catch (error) {
          // A connection that others had made, or began to make, says nothing about the server.
          if (isReply(error) || patience.signal.aborted || line !== known) throw error
        }
      }
    },
    once: (patience, sent, work) =>
      run(patience, connection(), (client) => {
        sent()
        return work(client)
      }),
    drop: () => drop(current),
  }
}

/** Whether the server itself answered with an error: then the connection is good. */
export const isReply = (error: unknown): error is Error => error instanceof Error && error.name === "ReplyError"

/** The library puts the command into its errors, password and text included; errors get logged. */
function withoutCommand(error: unknown): unknown {
  if (isReply(error)) delete (error as Error & { command?: unknown }).command
  return error
}

/**
 * End a connection so that nothing which waits in this machine is sent any more: closing it would go on sending, and a write that
 * its caller gave up on would arrive when the network is back.
 */
export function reset(client: Redis): void {
  const stream = client.stream as Redis["stream"] | undefined
  if (stream === undefined) return client.disconnect()
  resetSocket(stream)
}

/** Open a connection within so many ms. It keeps no process alive. */
export function openRedis(make: () => Redis, ms: number, lifetime: AbortSignal): Promise<Redis> {
  return withPatience(ms, lifetime, async ({ signal }) => {
    const client = make()
    let cause: unknown
    client.on("error", (error: unknown) => (cause = error))
    try {
      const connecting = client.connect()
      setImmediate(() => (client.stream as Redis["stream"] | undefined)?.unref())
      await orGiveUp(signal, connecting)
      client.stream.unref()
      return client
    } catch (error) {
      reset(client)
      // The library only says that the connection is closed; why, it told as an event before.
      throw withoutCommand(cause ?? error)
    }
  })
}
