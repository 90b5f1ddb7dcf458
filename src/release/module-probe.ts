import { Worker } from "node:worker_threads"
import type { ModuleCode } from "./module-code.js"

/**
 * What runs in the thread. A text, because a thread has no compiler where the sources run as they are, and a file of its own would have
 * to be found. It tells what is wrong with the module, null for nothing.
 */
const PROBE = `(() => {
const { parentPort, workerData: { url, exported } } = require("node:worker_threads")
let exits = null
process.exit = (code) => {
  exits = "it calls process.exit(" + (code ?? "") + ")"
  throw new Error(exits)
}
// Those that are there: Node.js makes some, such as fetch, when they are first asked for, and making all takes as long as all else here.
const objects = [["", globalThis], ["process", process], ["Buffer", Buffer]]
for (const name of Object.getOwnPropertyNames(globalThis)) {
  const { value } = Reflect.getOwnPropertyDescriptor(globalThis, name)
  if ((typeof value !== "object" && typeof value !== "function") || value === null || value === globalThis) continue
  objects.push([name, value])
  if (typeof value === "function" && value.prototype) objects.push([name + ".prototype", value.prototype])
}
function globals() {
  const seen = new Map()
  for (const [name, object] of objects) {
    for (const key of Reflect.ownKeys(object)) {
      if (key === "arguments" || key === "caller" || (object === process && String(key).startsWith("_"))) continue
      const { value, get, set } = Reflect.getOwnPropertyDescriptor(object, key)
      seen.set(name === "" ? String(key) : name + "." + String(key), [value, get, set])
    }
  }
  return seen
}
const told = (error) => {
  try { return String(error?.message ?? error) } catch { return "no error was thrown" }
}
async function probe() {
  const before = globals()
  const loaded = await import(url)
  if (exits !== null) return exits
  const after = globals()
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(name) ?? [], after.get(name) ?? []]
    if (was.length === is.length && was.every((one, i) => Object.is(one, is[i]))) continue
    // Made meanwhile, and what it should be.
    if (was[1] && Object.is(was[1].call(globalThis), is[0])) continue
    return "it changes the global " + name + ", which all releases share"
  }
  if (typeof loaded[exported] === "function") return null
  return "it must export the function " + exported + ", and exports " + (Object.keys(loaded).join(", ") || "nothing")
}
probe().catch((error) => exits ?? "it fails: " + told(error)).then((problem) => parentPort.postMessage(problem))
})()`

/** Heap of the thread, MiB. */
const MAX_HEAP_MB = 256
const MAX_TOLD = 300

/**
 * Import a module in a thread of its own first, and say what is wrong with it; null when nothing is: there it can neither end nor hang the
 * process, and leaves nothing behind. What it does later, or only in the main thread, is not seen: a module can do what the process can.
 */
export function probeModule({ name, url, exported }: ModuleCode, timeoutMs: number): Promise<string | null> {
  const worker = new Worker(PROBE, {
    eval: true,
    workerData: { url, exported },
    execArgv: [],
    // What it prints is printed when it is imported here.
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
  })
  return new Promise((resolve) => {
    const end = (problem: string | null): void => {
      clearTimeout(timer)
      resolve(problem === null ? null : problem.replace(/"?data:text[^"\s]*"?/g, name).slice(0, MAX_TOLD))
      void worker.terminate()
    }
    const timer = setTimeout(() => end(`it is not loaded within ${timeoutMs} ms`), timeoutMs)
    worker.once("message", end)
    worker.once("error", (error) => end(`it fails: ${error instanceof Error ? error.message : "no error was thrown"}`))
    // The thread had nothing left to do, and the import was not done.
    worker.once("exit", () => end("it waits for what never comes"))
  })
}
