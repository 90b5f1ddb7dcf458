import { watch, type FSWatcher } from "node:fs"
import { stat } from "node:fs/promises"
import { basename } from "node:path"
import { oneAtATime } from "../model/one-at-a-time.js"
import type { Hint, Versioned } from "../rollout/store.js"
import { callSafely } from "./document.js"
import { revisionIn } from "./file-folder.js"

/**
 * Time between two looks at the folder, ms. The system's own notice is faster where it works; it does not on network mounts,
 * runs out (Linux has 128 inotify instances a user), and dies with the folder.
 */
const POLL_MS = 250
/** Looks at the names themselves after the folder's own time has changed: two changes within a tick of it look like one. */
const LOOKS_AFTER = 12

const UNREADABLE = -1

export interface FolderWatch {
  readonly folder: string
  /** Newest revision in the folder, 0 for none. */
  newest(): Promise<number>
  /** Rejects, or answers null, where the file is not simply there. */
  read(revision: number): Promise<Versioned | null>
  /** The revision that the reader has seen. */
  readonly from: number
  readonly hint: Hint
  readonly signal: AbortSignal
}

/**
 * Call `hint` when the newest revision changes, the folder goes or can be read no more; with the text of a revision that the system gives the
 * name of: then the folder needs not be listed for it. Nothing here throws or keeps a process alive.
 */
export function watchFolder({ folder, newest, read, from, hint, signal }: FolderWatch): void {
  if (signal.aborted) return
  let watcher: FSWatcher | null = null
  let watchedInode: number | null = null
  /** What the system says of the folder when nothing in it changed, and how many looks do not trust that yet. */
  let stamp = ""
  let doubtful = LOOKS_AFTER
  let known = from

  const look = oneAtATime(async () => {
    if (await isUnchanged()) return
    const current = await newest().catch(() => UNREADABLE)
    if (signal.aborted || current === known) return
    known = current
    callSafely(hint)
  }, signal)

  function notice(name: string | null): void {
    doubtful = LOOKS_AFTER
    if (name === null || name === basename(folder)) void look()
    else if (revisionIn(name) > known) void bring(revisionIn(name))
  }

  async function bring(revision: number): Promise<void> {
    const found = await read(revision).catch(() => null)
    if (signal.aborted || revision <= known) return
    if (found === null) return look()
    known = revision
    callSafely(hint, found)
  }

  const timer = setInterval(() => void look(), POLL_MS)
  timer.unref()
  signal.addEventListener("abort", stop, { once: true })
  void look()

  /** To list a folder of a thousand revisions four times a second for every document would be felt; to ask for its time is not. */
  async function isUnchanged(): Promise<boolean> {
    const found = await stat(folder, { bigint: true }).catch(() => null)
    attach(found === null ? null : Number(found.ino))
    const now = found === null ? "" : `${found.dev}:${found.ino}:${found.mtimeNs}:${found.ctimeNs}`
    doubtful = now === stamp ? doubtful - 1 : LOOKS_AFTER
    stamp = now
    return doubtful < 0 && known !== UNREADABLE
  }

  /** Watch the folder that is there now: it may not exist yet, and one that was made anew is another. */
  function attach(inode: number | null): void {
    if (signal.aborted || (watcher !== null && inode === watchedInode)) return
    detach()
    if (inode === null) return
    try {
      const opened = watch(folder, { persistent: false })
      // The name can be missing; then any file may be meant.
      opened.on("change", (_event, name) => {
        // Its own name: it is gone, and one that is made anew can get its inode.
        if (name === basename(folder)) detach()
        notice(name === null ? null : String(name))
      })
      opened.on("error", detach)
      watcher = opened
      watchedInode = inode
    } catch {
      // EMFILE, ENOSPC: no watcher left. The timer goes on looking, and tries again.
    }
  }

  function detach(): void {
    watcher?.close()
    watcher = null
    watchedInode = null
  }

  function stop(): void {
    clearInterval(timer)
    detach()
  }
}
