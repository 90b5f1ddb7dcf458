import type { Problem, SerinError } from "../errors.js"
import { checkConfig } from "./config.js"
import { clip, refusal } from "./problems.js"
import { nearest } from "../model/nearest.js"
import type { KeysOf } from "../model/options.js"
import { DIRECTIONS } from "./ports.js"
import type { Release } from "./ports.js"

const RELEASE_KEYS: KeysOf<Release> = {
  version: true,
  policy: true,
  scanners: true,
  monitor: true,
  config: true,
  configSchema: true,
  digest: true,
  sdk: true,
  close: true,
}

/**
 * Say what is wrong with a release that was made in code, as `RELEASE_INVALID`; null when nothing is. A scanner that would
 * silently never run is worse than none. Freezes its config, if that is in order. `where` of a problem is the path in the release: `scanners[0].directions`.
 */
export function checkRelease(
  version: string,
  release: {
    readonly version?: unknown
    readonly policy?: unknown
    readonly scanners?: unknown
    readonly monitor?: unknown
    readonly config?: unknown
    readonly configSchema?: unknown
  },
): SerinError | null {
  const { policy, scanners, monitor, config, configSchema } = release
  const problems = [
    ...checkKeys(release),
    ...checkVersion(version, release.version),
    ...checkPolicy(policy),
    ...checkScanners(scanners),
    ...checkMonitor(monitor),
    ...checkConfig(config, configSchema),
  ]
  return problems.length === 0 ? null : refusal("RELEASE_INVALID", `the release ${version}`, problems)
}

/** Misspelt, a component would be left out: `scaners` would be a release that scans nothing. */
function checkKeys(release: object): Problem[] {
  const known = Object.keys(RELEASE_KEYS)
  return Object.entries(release).flatMap(([key, value]): Problem[] => {
    if (value === undefined || Object.hasOwn(RELEASE_KEYS, key)) return []
    const near = nearest(key, known)
    const fix = near === undefined ? `a release has ${known.join(", ")}` : `did you mean \`${near}\`?`
    return [{ where: clip(key), message: "is no component of a release", fix }]
  })
}

/** Attack: an old release that is handed over under the name of a new one. */
function checkVersion(asked: string, version: unknown): Problem[] {
  if (version === asked) return []
  const fix = "give it the version that it is listed under"
  return [{ where: "version", message: `must be ${show(asked)}, which was asked for, got ${show(version)}`, fix }]
}

function checkPolicy(policy: unknown): Problem[] {
  if (hasFunction(policy, "evaluate")) return []
  const fix = "write `{ evaluate(call, context) { … } }`, or `functionEngine(fn)`"
  return [{ where: "policy", message: `must be an object with the function \`evaluate\`, got ${show(policy)}`, fix }]
}

function checkScanners(scanners: unknown = []): Problem[] {
  if (!Array.isArray(scanners)) {
    return [{ where: "scanners", message: `must be a list, got ${show(scanners)}`, fix: "write `[scanner]`" }]
  }
  return scanners.flatMap((scanner: unknown, i) => checkScanner(scanner, `scanners[${i}]`))
}

function checkScanner(value: unknown, where: string): Problem[] {
  if (typeof value !== "object" || value === null) return [{ where, message: `must be a scanner, got ${show(value)}` }]
  const { name, scan, directions, timeoutMs, stateful } = value as Readonly<Record<string, unknown>>
  const problems: Problem[] = []
  const refuse = (key: string, rule: string, got: unknown, fix: string): void => {
    problems.push({ where: `${where}.${key}`, message: `must be ${rule}, got ${show(got)}`, fix })
  }
  if (typeof name !== "string" || name === "") {
    refuse("name", "a text that is not empty", name, "name what it looks for, such as `pii`")
  }
  if (typeof scan !== "function") refuse("scan", "a function", scan, "write `scan(text, context) { … }`")
  if (directions !== undefined && !isDirections(directions)) {
    refuse("directions", "a list of `input` and `output`", directions, "leave it out for both")
  }
  if (timeoutMs !== undefined && !(typeof timeoutMs === "number" && timeoutMs > 0)) {
    refuse("timeoutMs", "a number of ms above 0", timeoutMs, "leave it out for the guard's own limit")
  }
  if (stateful !== undefined && typeof stateful !== "boolean") {
    refuse("stateful", "true or false", stateful, "leave it out for false")
  }
  return problems
}

/** One that cannot observe would fail at every event, and alert of itself alone. */
function checkMonitor(monitor: unknown): Problem[] {
  if (monitor === undefined || hasFunction(monitor, "observe")) return []
  const fix = "write `{ observe(event, context) { … } }`, or leave it out"
  return [{ where: "monitor", message: `must be an object with the function \`observe\`, got ${show(monitor)}`, fix }]
}

const hasFunction = (value: unknown, name: string): boolean =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as Readonly<Record<string, unknown>>)[name] === "function"

function isDirections(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((one) => DIRECTIONS.includes(one as never))
}

function show(value: unknown): string {
  if (typeof value === "function") return "a function"
  try {
    return clip(JSON.stringify(value) ?? String(value))
  } catch {
    return typeof value
  }
}
