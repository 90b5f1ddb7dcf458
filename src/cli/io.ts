import type { Clock } from "../model/clock.js"

/** All that a command knows of the world outside of files. */
export interface Io {
  readonly stdout: Sink
  readonly stderr: Sink
  /** Paths of the command line are relative to it. Absolute. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  /** Ends what goes on until it is told to stop. */
  readonly signal: AbortSignal
  /** Whether `stdout` is a terminal. */
  readonly isTTY: boolean
  /** Whether `stderr` is one: only there does long work show how far it is. */
  readonly stderrIsTTY: boolean
  /** Width of the terminal of `stdout`, characters. */
  readonly columns: number
  /** The terminal of `stdout`, where it is one that may change its size. */
  readonly terminal?: Terminal | undefined
  /** Have something done when the command is over, however it ends. Nobody waits for it. */
  atEnd(work: () => void): void
}

export interface Terminal {
  /** In characters, as it is now. */
  size(): { readonly columns: number; readonly rows: number }
  /** Answers what ends it. */
  onResize(listener: () => void): () => void
}

export interface Sink {
  write(text: string): unknown
}
