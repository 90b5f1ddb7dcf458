import { isSerinError } from "../errors.js"
import type { Problem } from "../errors.js"
import { suggest } from "./problems.js"
import type { ResolvedCode } from "./code-options.js"
import type { IsolatedScanner } from "./isolate.js"
import type { Manifest } from "./manifest.js"
import type { ModulePart, ScannerModulePart } from "./manifest-parts.js"
import { moduleCode } from "./module-code.js"
import type { ModuleCode } from "./module-code.js"
import { makeOfModule, messageOf, soon } from "./module-load.js"
import type { ModuleParts, Monitor, Policy, Scanner } from "./ports.js"
import type { TreeFile } from "./tree.js"

/** What the code of a release made of it. */
export interface CodeParts<C> {
  readonly policy: Policy<C> | undefined
  /** By name. */
  readonly scanners: ReadonlyMap<string, Scanner>
  readonly monitor: Monitor | undefined
  readonly sdk: unknown
  /** Null: nothing has to be given back. */
  readonly close: (() => Promise<void>) | null
}

/**
 * Load what a release has that is code, after all else of it was verified and read. Null when a part cannot be: why was pushed on `problems`,
 * and what was made before it is given back.
 */
export async function loadCodeParts<C>(
  manifest: Manifest,
  files: readonly TreeFile[],
  release: { readonly digest: string; readonly config: unknown },
  options: ResolvedCode,
  problems: Problem[],
): Promise<CodeParts<C> | null> {
  const { version, policyModule, monitor } = manifest
  const closers: (() => unknown)[] = []
  const fileOf = ({ module }: ModulePart): TreeFile => files.find(({ name }) => name === module)!
  const codeOf = (part: ModulePart): ModuleCode =>
    moduleCode(fileOf(part), part.exported, { version, digest: release.digest })

  async function close(): Promise<void> {
    // One that cannot be closed keeps no other open.
    await Promise.allSettled(closers.map(async (one) => one()))
  }

  /** Null: it failed, and so has the release. */
  async function attempt<T>(where: string, fix: string, load: () => Promise<T>): Promise<T | null> {
    if (problems.length > 0) return null
    try {
      return await load()
    } catch (error) {
      if (isSerinError(error) && error.code !== "RELEASE_INVALID") {
        await close()
        throw error
      }
      problems.push({ where, message: messageOf(error), fix })
      return null
    }
  }

  async function make<T>(part: ModulePart, member: string, sdk: unknown): Promise<T | null> {
    const parts: ModuleParts = { version, config: release.config, sdk }
    return attempt(fileOf(part).path, MODULE_FIX, async () => {
      const made = await makeOfModule(codeOf(part), member, parts, options.timeoutMs)
      if (made.close !== null) closers.push(made.close)
      return made.object as T
    })
  }

  const sdk = await attempt(`sdk \`${manifest.sdk}\``, SDK_FIX, () => loadSdk(manifest.sdk, options))
  const policy = policyModule && (await make<Policy<C>>(policyModule, "evaluate", sdk))
  const scanners = new Map<string, Scanner>()
  for (const part of manifest.scanners) {
    if (!("module" in part)) continue
    if (options.modules === "isolated") {
      const scanner = await attempt(fileOf(part).path, MODULE_FIX, () =>
        isolated(part, codeOf(part), { version, config: release.config }, options.timeoutMs),
      )
      if (scanner === null) continue
      closers.push(scanner.close)
      // A guard that runs isolated scanners is async, where a promise of a report is as good as one.
      scanners.set(part.name, scanner as unknown as Scanner)
    } else {
      const made = await make<Scanner>(part, "scan", sdk)
      if (made !== null) scanners.set(part.name, named(part, made))
    }
  }
  const watching = monitor !== null && "module" in monitor ? await make<Monitor>(monitor, "observe", sdk) : null
  if (problems.length > 0) {
    await close()
    return null
  }
  return {
    policy: policy ?? undefined,
    scanners,
    monitor: watching ?? undefined,
    sdk: sdk ?? undefined,
    close: closers.length === 0 ? null : close,
  }
}

const MODULE_FIX = "a module of a release is one file, which imports nothing but modules of Node.js"
const SDK_FIX = "the host's `sdks` must load it"

async function loadSdk(name: string | null, { sdks, timeoutMs }: ResolvedCode): Promise<unknown> {
  if (name === null) return undefined
  const load = sdks.get(name)
  if (load !== undefined) return soon(timeoutMs, async () => load())
  throw new Error(`the host gives no such sdk; ${sdks.size === 0 ? "it gives none" : suggest(name, [...sdks.keys()])}`)
}

/** The scanner as the manifest says, around what the module made. */
function named({ name, directions, timeoutMs, stateful }: ScannerModulePart, made: Scanner): Scanner {
  return Object.freeze({ name, directions, timeoutMs, stateful, scan: made.scan.bind(made) })
}

async function isolated(
  { name, directions, timeoutMs, stateful, exported }: ScannerModulePart,
  { url }: ModuleCode,
  parts: Pick<ModuleParts, "version" | "config">,
  readyMs: number,
): Promise<IsolatedScanner> {
  // An entry of its own: its worker lies beside it.
  const { isolatedScanner } = await import("./isolate.js")
  const module = new URL(url)
  const scanner = isolatedScanner({ name, module, export: exported, parts, directions, timeoutMs, stateful })
  try {
    await soon(readyMs, () => scanner.warm())
    return scanner
  } catch (error) {
    await scanner.close()
    throw error
  }
}
