/** Where modules of releases run: with all that the host can do, or scanners alone, in worker threads. */
export const MODULES = ["in-process", "isolated"] as const

/** Where modules of releases run: in this process, or each in a worker with a time limit. */
export type Modules = (typeof MODULES)[number]

/** How code of releases is let in. Without any of it, a release that brings code is refused. */
export interface CodeOptions {
  /**
   * Let releases bring modules, which can do what the process can: `in-process` runs them in this process; `isolated` runs scanners in worker
   * threads, and refuses a policy or monitor that is a module. Default: a release with a module is refused.
   */
  readonly modules?: Modules | undefined
  /** Longest time in which one module is imported and made ready, ms. Default 5,000. */
  readonly moduleTimeoutMs?: number | undefined
  /** What `sdk` of a release may name, and how it is loaded: `{ zod3: () => import("zod3"), zod4: () => import("zod") }`. */
  readonly sdks?: Readonly<Record<string, () => unknown>> | undefined
}

export interface ResolvedCode {
  readonly modules: Modules | null
  readonly timeoutMs: number
  readonly sdks: ReadonlyMap<string, () => unknown>
}

/** Check the options. Throws `TypeError` and `RangeError` that name the option. */
export function resolveCode({ modules, moduleTimeoutMs = 5000, sdks = {} }: CodeOptions): ResolvedCode {
  if (modules !== undefined && !MODULES.includes(modules)) {
    throw new TypeError(`modules must be "in-process" or "isolated", got ${JSON.stringify(modules)}`)
  }
  if (!(moduleTimeoutMs > 0 && moduleTimeoutMs < 2 ** 31)) {
    throw new RangeError(`moduleTimeoutMs must be above 0 and below 2^31, got ${moduleTimeoutMs}`)
  }
  const known = new Map(Object.entries(sdks))
  for (const [name, load] of known) {
    if (typeof load !== "function") {
      throw new TypeError(
        `sdks.${name} must be a function that loads it, such as () => import("zod"), got ${typeof load}`,
      )
    }
  }
  return { modules: modules ?? null, timeoutMs: moduleTimeoutMs, sdks: known }
}

/** Throw `TypeError` where modules are isolated and the guard is not async. */
export function requireAsync({
  modules,
  async,
}: {
  readonly modules?: Modules | undefined
  readonly async?: boolean
}): void {
  if (modules !== "isolated" || async === true) return
  throw new TypeError('modules: "isolated" needs async: true, since a scanner in a worker answers later')
}
