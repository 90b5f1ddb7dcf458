import { constants } from "node:fs"
import { mkdir, open, rename, rm } from "node:fs/promises"
import { randomUUID } from "node:crypto"
import { dirname, resolve } from "node:path"
import type { Clock } from "../model/clock.js"
import { oneAtATime } from "../model/one-at-a-time.js"
import { textIn } from "../model/utf8.js"
import { MAX_STATE_BYTES, parseState } from "../rollout/state.js"
import { inTime } from "./deadline.js"
import { messageOf } from "./message.js"
import type { Stored } from "./verbs.js"

/** Longest wait for the disk, ms: with what the store may take, a process has begun in time. */
const READ_MS = 1000
/** More than a state takes in base64, with its signatures. */
const MAX_SEALED_BYTES = 2 * MAX_STATE_BYTES

/** The last good state of an earlier life of this process: where it begins when the store is down, and the floor of what it takes. */
export interface LastKnownGood {
  readonly path: string
  /** Null: there was none, or none that can be used. */
  readonly found: Stored | null
  /** Write it down, soon. Never throws and never waits. */
  keep(stored: Stored): void
  /** Why it could not be read, or not be written. */
  problem(): string | undefined
  /** Resolves when what was given to `keep` is written, or has failed. Never rejects. */
  settle(): Promise<void>
}

/** Verify what was kept as it was signed, and answer the state inside. Throws when nobody who is trusted signed it. */
export type Unseal = (sealed: string) => string

/**
 * Read a state that was kept in a file, and keep newer ones there: the text of the state, as it is in the store, readable by this user alone.
 * With `unseal`, that is the signed one, and it is verified again. What cannot be used is as good as not there, and `problem` says so. Answers
 * within 1 s.
 */
export async function openLastKnownGood(
  path: string,
  rollout: string,
  clock: Clock,
  unseal?: Unseal,
): Promise<LastKnownGood> {
  const file = resolve(path)
  let problem: string | undefined
  let found: Stored | null = null
  let kept: Stored | null = null
  let next: Stored | null = null
  let writing = Promise.resolve()

  try {
    found = await inTime(clock, READ_MS, () => read(file, rollout, unseal))
    kept = found
  } catch (error) {
    problem = `${file} is not used: ${messageOf(error)}`
  }

  /** Several processes may share the file: one that is behind should not put an older state back. */
  async function isNewest(revision: number): Promise<boolean> {
    const there = await read(file, rollout, unseal).catch(() => null)
    return there === null || there.state.revision < revision
  }

  const write = oneAtATime(async () => {
    if (next === null) return
    const stored: Stored = next
    next = null
    try {
      const text = unseal === undefined ? stored.envelope : stored.sealed
      if (text === undefined) throw new Error(`revision ${stored.state.revision} came without its signature`)
      await writeWhole(file, text, () => isNewest(stored.state.revision))
      kept = stored
      problem = undefined
    } catch (error) {
      problem = `${file} is not written: ${messageOf(error)}`
    }
  })

  return {
    path: file,
    found,
    keep(stored) {
      if (stored.envelope === (next ?? kept)?.envelope) return
      next = stored
      writing = write()
    },
    problem: () => problem,
    settle: () => writing,
  }
}

/** Null: there is none. */
async function read(file: string, rollout: string, unseal: Unseal | undefined): Promise<Stored | null> {
  let handle
  try {
    // A pipe would keep whoever opens it waiting.
    handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null
    throw error
  }
  try {
    if (!(await handle.stat()).isFile()) throw new Error("it is no file")
    const buffer = Buffer.alloc((unseal === undefined ? MAX_STATE_BYTES : MAX_SEALED_BYTES) + 1)
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0)
    const text = textIn(buffer.subarray(0, bytesRead))
    const envelope = unseal === undefined ? text : unseal(text)
    const state = parseState(envelope)
    if (state.rollout !== rollout) throw new Error(`it is the state of ${state.rollout}, not of ${rollout}`)
    return { state, envelope, sealed: unseal && text }
  } finally {
    await handle.close()
  }
}

/** Nobody ever sees half of it, and after a power cut there is this one or the one before. `isWanted` is asked last. */
async function writeWhole(file: string, text: string, isWanted: () => Promise<boolean>): Promise<void> {
  const folder = dirname(file)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const draft = `${file}.${randomUUID().slice(0, 8)}.tmp`
  try {
    const handle = await open(draft, "wx", 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    if (!(await isWanted())) return await rm(draft, { force: true })
    await rename(draft, file)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
  // Folders cannot be synced on every system; the rename itself is done.
  const handle = await open(folder, "r").catch(() => null)
  await handle?.sync().catch(() => {})
  await handle?.close()
}
