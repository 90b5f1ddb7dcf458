import { watch, type FSWatcher } from "node:fs"
import { stat } from "node:fs/promises"
import { callSafely } from "./document.js"

/**
 * Time between two looks at the folder, ms. The system's own notice is faster where it works; it does not on network mounts,
 * runs out (Linux has 128 inotify instances a user), and dies with the folder.
 */
const POLL_MS = 250

export interface FolderWatch {
  readonly folder: string
  /** Newest revision in the folder, 0 for none. */
  newest(): Promise<number>
  /** The revision that the reader has seen. */
  readonly from: number
  /** Whether a file of this name is worth a look. */
  concerns(name: string): boolean
  readonly hint: () => void
  readonly signal: AbortSignal
}

/** Call `hint` when the newest revision changes, the folder goes or can be read no more. Nothing here throws or keeps a process alive. */
export function watchFolder({ folder, newest, from, concerns, hint, signal }: FolderWatch): void {
  if (signal.aborted) return
  let watcher: FSWatcher | null = null
  let watchedInode: number | null = null
  let known = from
  let looking = false
  let again = false

  const timer = setInterval(() => void look(), POLL_MS)
  timer.unref()
  signal.addEventListener("abort", stop, { once: true })
  void look()

  async function look(): Promise<void> {
    if (looking) {
      again = true
      return
    }
    looking = true
    do {
      again = false
      await attach()
      const current = await newest().catch(() => -1)
      if (signal.aborted) break
      if (current !== known) {
        known = current
        callSafely(hint)
      }
    } while (again)
    looking = false
  }

  /** Watch the folder that is there now: it may not exist yet, and one that was made anew is another. */
  async function attach(): Promise<void> {
    const inode = await stat(folder).then(
      ({ ino }) => ino,
      () => null,
    )
    if (signal.aborted || (watcher !== null && inode === watchedInode)) return
    detach()
    if (inode === null) return
    try {
      const opened = watch(folder, { persistent: false })
      // The name can be missing; then any file may be meant.
      opened.on("change", (_event, name) => void ((name === null || concerns(String(name))) && look()))
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
