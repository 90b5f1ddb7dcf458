import { SerinError } from "../errors.js"
import { MAX_MODULES, takeRoom } from "./module-code.js"
import type { ModuleCode } from "./module-code.js"
import { probeModule } from "./module-probe.js"
import type { ModuleParts } from "./ports.js"

/** What a module made: the function that its kind of part must have, and what it may have beside. */
export interface Made {
  readonly object: Readonly<Record<string, unknown>>
  readonly close: (() => unknown) | null
}

/**
 * Import a module in this process, call the function that it exports, and let it warm up, all within the limit. First it is imported in a
 * thread, so that one that fails, hangs or exits does not do so here. Rejects with an `Error` that says what is wrong with the module,
 * and with `RELEASE_UNAVAILABLE` when this process has loaded as many as it may.
 */
export async function makeOfModule(
  code: ModuleCode,
  member: string,
  parts: ModuleParts,
  timeoutMs: number,
): Promise<Made> {
  const wrong = await probeModule(code, timeoutMs)
  if (wrong !== null) throw new Error(wrong)
  if (!takeRoom(code)) {
    const why = `this process has loaded ${MAX_MODULES} modules of releases, which Node.js cannot unload`
    throw new SerinError(
      "RELEASE_UNAVAILABLE",
      `${code.name}: ${why}; restart it, or load scanners with modules: "isolated"`,
    )
  }
  let isLate = false
  async function make(): Promise<Made> {
    const loaded = (await import(/* @vite-ignore */ code.url)) as Readonly<Record<string, unknown>>
    const create = loaded[code.exported] as (parts: ModuleParts) => unknown
    const object = (await create(parts)) as Readonly<Record<string, unknown>> | null | undefined
    const close = typeof object?.["close"] === "function" ? object["close"].bind(object) : null
    try {
      if (typeof object?.[member] !== "function") {
        throw new TypeError(`${code.exported}() must answer an object with the function \`${member}\``)
      }
      await warm(object)
      if (isLate) throw new Error("nobody waits for it any more")
      return { object, close }
    } catch (error) {
      await close?.()
      throw error
    }
  }
  try {
    return await soon(timeoutMs, make)
  } finally {
    isLate = true
  }
}

async function warm(object: Readonly<Record<string, unknown>>): Promise<void> {
  try {
    if (typeof object["warm"] === "function") await (object["warm"] as () => unknown)()
  } catch (cause) {
    throw new Error(`warm() fails: ${messageOf(cause)}`, { cause })
  }
}

/** Wait no longer than the limit; what comes later is dropped: whoever makes something gives it back himself. */
export async function soon<T>(timeoutMs: number, work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it is not ready within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([work(), late])
  } finally {
    clearTimeout(timer)
  }
}

/** Foreign code throws anything, also what throws when it is looked at. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message.slice(0, 300) : "no error was thrown"
  } catch {
    return "no error was thrown"
  }
}
