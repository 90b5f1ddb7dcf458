import { readdir, readFile, stat } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { SerinError } from "../errors.js"
import { ROLLOUT_NAME } from "../rollout/names.js"
import { parseSpec, type RolloutSpec } from "../rollout/spec.js"
import type { Actor } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import { fileStore } from "../stores/file.js"
import type { ACTOR_FLAGS, PLACE_FLAGS, Values } from "./command.js"
import type { Io } from "./io.js"
import type { Printer } from "./printer.js"
import { readRoughly } from "./rough-spec.js"

const DEFAULT_ROLLOUT = "safety/rollout.yaml"

/** Where a rollout is: the file that a human wrote, and the store with its state. */
export interface Place {
  /** As it was asked for, for messages. */
  readonly shownFile: string
  /** Absolute. */
  readonly file: string
  readonly stateDir: string
  /** The same, for messages. */
  readonly shownState: string
  readonly store: StateStore
  /** Write a command that works on this place: `serin retry --rollout other.yaml`. */
  command(verb: string): string
}

export function placeOf(values: Values<typeof PLACE_FLAGS>, { cwd }: Io): Place {
  const shownFile = values.rollout ?? DEFAULT_ROLLOUT
  const file = resolve(cwd, shownFile)
  // Beside the file: where `embed()` keeps it.
  const stateDir = values.state === undefined ? join(dirname(file), "state") : resolve(cwd, values.state)
  const flags = [
    ...(values.rollout === undefined ? [] : [`--rollout ${quoted(values.rollout)}`]),
    ...(values.state === undefined ? [] : [`--state ${quoted(values.state)}`]),
  ]
  return {
    shownFile,
    file,
    stateDir,
    shownState: values.state ?? join(dirname(shownFile), "state"),
    store: fileStore({ dir: stateDir }),
    command: (verb) => ["serin", verb, ...flags].join(" "),
  }
}

/** Write a path as a shell reads it. */
export const quoted = (path: string): string =>
  /^[\w./@+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`

/** Read the rollout's file. Throws `SPEC_INVALID`. */
export async function readSpec({ file, shownFile }: Place): Promise<RolloutSpec> {
  return parseSpec(await readText(file, shownFile), { path: shownFile })
}

export async function readText(file: string, shownFile: string): Promise<string> {
  try {
    return await readFile(file, "utf8")
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown"
    const fix = code === "ENOENT" ? "`serin init` writes one; --rollout says where it is" : code
    throw new SerinError("SPEC_INVALID", `the rollout file ${shownFile} cannot be read: ${fix}`, { cause })
  }
}

/**
 * Find out which rollout is meant. A file that is broken or gone must not keep anybody from stopping a canary: then its name
 * is enough, or the one rollout that the state directory holds.
 */
export async function rolloutName(place: Place, out: Printer): Promise<string> {
  try {
    return (await readSpec(place)).rollout
  } catch (error) {
    const text = await readFile(place.file, "utf8").catch(() => "")
    const name = readRoughly(text).rollout ?? (await loneRollout(place.stateDir))
    if (name === null) throw error
    out.note(`note: ${place.shownFile} is not valid; going by the name ${name} (\`${place.command("validate")}\`)`)
    return name
  }
}

/** Rollouts that a state directory holds. */
export async function rolloutsIn(stateDir: string): Promise<readonly string[]> {
  const names = await readdir(stateDir).catch(() => [])
  const found: string[] = []
  for (const name of names.filter((one) => ROLLOUT_NAME.test(one)).sort()) {
    const isThere = await stat(join(stateDir, name, "state")).then(
      (stats) => stats.isDirectory(),
      () => false,
    )
    if (isThere) found.push(name)
  }
  return found
}

async function loneRollout(stateDir: string): Promise<string | null> {
  const found = await rolloutsIn(stateDir)
  return found.length === 1 ? (found[0] ?? null) : null
}

/** Say who acts: `--by`, else what the environment tells. */
export function actorOf({ by }: Pick<Values<typeof ACTOR_FLAGS>, "by">, { env }: Io): Actor {
  return { kind: "human", id: by || env["SERIN_ACTOR"] || env["USER"] || "unknown" }
}
