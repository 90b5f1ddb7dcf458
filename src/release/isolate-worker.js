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
async function load({ module, exported }) {
  const { exit } = process
  // It would end the thread before the pool knows of it, and texts would wait for it. Only while loading: Node.js itself
  // calls it where an error was not caught.
  process.exit = (code) => {
    throw new Error(`a scanner's module must not call process.exit(${code ?? ""})`)
  }
  try {
    const loaded = await import(module)
    const scan = loaded[exported]
    if (typeof scan === "function") {
      return async ({ text, context }) => portable(await Promise.race([scan(text, context), uncaught()]))
    }
    const names = Object.keys(loaded).join(", ") || "nothing"
    throw new TypeError(`${module} must export the function ${exported}; it exports ${names}`)
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

/**
 * Fail here for what cannot be sent: on its way out it would end the worker, and tell nothing.
 *
 * @param {unknown} report
 */
function portable(report) {
  try {
    return structuredClone(report)
  } catch (error) {
    // Without the cause, which cannot leave either.
    // oxlint-disable-next-line preserve-caught-error
    throw new TypeError(`what the scanner answered cannot leave its worker: ${error.message}`)
  }
}

export default load(workerData)
