import { workerData } from "node:worker_threads"

/*
 * Runs in a worker thread: loads the scanner's module, and scans text by text. Plain JavaScript without a single import of
 * this package: a thread has no compiler, also where the sources run as they are, and starts as fast as it can.
 */

/**
 * Answer the texts of this worker, by a promise: the pool waits for it, so loading takes no text's time. It never rejects.
 *
 * @param {import("./isolate.js").IsolatedModule} options
 * @returns {Promise<(task: import("./isolate.js").IsolatedTask) => unknown>}
 */
async function load({ module, exported, parts }) {
  const { exit } = process
  // It would end the thread before the pool knows of it, and texts would wait for it. Only while loading: Node.js itself
  // calls it where an error was not caught.
  process.exit = (code) => {
    throw new Error(`a scanner's module must not call process.exit(${code ?? ""})`)
  }
  try {
    const loaded = await import(module)
    if (typeof loaded[exported] !== "function") {
      const names = Object.keys(loaded).join(", ") || "nothing"
      throw new TypeError(`${nameOf(module)} must export the function ${exported}; it exports ${names}`)
    }
    const scanner = parts === undefined ? { scan: loaded[exported] } : await loaded[exported](parts)
    if (typeof scanner?.scan !== "function")
      throw new TypeError(`${exported}() must answer an object with the function \`scan\``)
    await scanner.warm?.()
    return async ({ text, context }) => {
      if (text === null) return null
      return portable(await Promise.race([scanner.scan(text, context), uncaught()]))
    }
  } catch (error) {
    // Each text is told: the pool would leave it waiting for a worker that never comes.
    return () => {
      throw error
    }
  } finally {
    process.exit = exit
  }
}

/*
 * An error that nobody catches fails the text that is being scanned, and the worker goes on. It must not be what ends the
 * thread: Node.js 20 aborts the whole process now and then when a thread dies of it just as it is ended.
 */
let fail = () => {}
process.on("uncaughtException", (error) => fail(error))

/** @returns {Promise<never>} */
const uncaught = () => new Promise((_, reject) => (fail = reject))

/** A module of a release is a URL as long as its source. */
const nameOf = (module) => (module.startsWith("data:") ? "the module" : module)

/** Findings that are looked at; copying far more of them would take the host's time, after which they are refused all the same. */
const MAX_FINDINGS = 1000

/**
 * Fail here for what cannot be sent: on its way out it would end the worker, and tell nothing.
 *
 * @param {unknown} report
 */
function portable(report) {
  if (report?.findings?.length > MAX_FINDINGS) throw new RangeError(`more than ${MAX_FINDINGS} findings in one answer`)
  try {
    return structuredClone(report)
  } catch (error) {
    // Without the cause, which cannot leave either.
    // oxlint-disable-next-line preserve-caught-error
    throw new TypeError(`what the scanner answered cannot leave its worker: ${error.message}`)
  }
}

export default load(workerData)
