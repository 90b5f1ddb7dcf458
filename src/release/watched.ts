import { createContext, Script } from "node:vm"
import type { Context } from "node:vm"

interface Box {
  job: (() => unknown) | null
}

let box: (Box & Context) | null = null
let script: Script | null = null

/**
 * Run a synchronous job, and end it when it takes longer than so many ms: the one thing that stops a pattern that backtracks without
 * end in the thread that it hangs. Costs a thread for each call, 65 µs of CPU. Throws what the job throws; and, when it
 * was ended, an `Error` that says so. A job that was ended stops where it was: it must leave nothing half done.
 */
export function watched<T>(timeoutMs: number, job: () => T): T {
  box ??= createContext({ job: null }) as Box & Context
  script ??= new Script("job()")
  // A job may run another: a hostile regular expression cannot, but nothing here should depend on it.
  const before = box.job
  box.job = job
  try {
    return script.runInContext(box, { timeout: timeoutMs }) as T
  } catch (error) {
    if (isTimeout(error)) throw new Error(`no answer within ${timeoutMs} ms`, { cause: error })
    throw error
  } finally {
    box.job = before
  }
}

const isTimeout = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT"
