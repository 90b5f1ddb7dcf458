import { readdir, readFile, stat } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { SerinError } from "../errors.js"
import { whyUnread } from "../model/file-error.js"
import { ROLLOUT_NAME } from "../model/names.js"
import { parseSpec, type RolloutSpec } from "../rollout/spec.js"
import type { Actor } from "../rollout/state.js"
import type { StateStore } from "../rollout/store.js"
import type { Trust } from "../signing/trust.js"
import { usage, type ACTOR_FLAGS, type PLACE_FLAGS, type Values } from "./command.js"
import type { Io } from "./io.js"
import { keyedStore } from "./keyed-store.js"
import type { Printer } from "./printer.js"
import { readRoughly } from "./rough-spec.js"
import { storeAt } from "./store-at.js"

const DEFAULT_ROLLOUT = "safety/rollout.yaml"

/** The file that a human wrote. */
export interface RolloutFile {
  /** As it was asked for, for messages. */
  readonly shownFile: string
  /** Absolute. */
  readonly file: string
  /** Write a command that works on this place: `serin retry --rollout other.yaml`. */
  command(verb: string): string
}

/** Where a rollout is: its file, and the store with its state. */
export interface Place extends RolloutFile {
  /** Where its state lives, for messages. */
  readonly shownState: string
  /** The state's folder; null: it is in none. */
  readonly stateDir: string | null
  /** Verified and signed by the keys that are named. */
  readonly store: StateStore
  /** Whether a state key is named. */
  readonly signs: boolean
  /** Whether public keys alone are named. */
  readonly readsAlone: boolean
  /** The keys that must have signed its state; null: none are named. */
  readonly trust: Trust | null
  /** The same store as it is: to find out which revision is to be written over, to serve, and for what nobody has signed yet. */
  readonly raw: StateStore
  /** Whether the store can only be read. */
  readonly readOnly: boolean
}

type PlaceValues = Values<typeof PLACE_FLAGS>

/** Find the rollout's file, for what needs no state. */
export function rolloutFileOf(values: Pick<PlaceValues, "rollout">, { cwd }: Pick<Io, "cwd">): RolloutFile {
  const shownFile = values.rollout ?? DEFAULT_ROLLOUT
  return { shownFile, file: resolve(cwd, shownFile), command: commandWith({ rollout: values.rollout }) }
}

/** Find the rollout's file and its store, whose connections end with the command. Throws `USAGE` and `LIBRARY_MISSING`. */
export async function placeOf(values: PlaceValues, io: Io): Promise<Place> {
  const found = rolloutFileOf(values, io)
  const named = values.state ?? (io.env["SERIN_STATE"] || undefined)
  // Beside the file: where `embed()` keeps it.
  const at = await storeAt(named ?? join(dirname(found.shownFile), "state"), io)
  io.atEnd(() => at.close())
  const keyed = keyedStore(at.store, values, io)
  return {
    ...found,
    shownState: at.shown,
    stateDir: at.dir,
    ...keyed,
    raw: at.store,
    readOnly: at.readOnly,
    command: commandWith({ ...values, state: values.state === undefined ? undefined : at.shown }),
  }
}

const SHOWN_FLAGS = ["rollout", "state", "state-key", "trusted-keys", "trusted-threshold"] as const

function commandWith(values: { readonly [K in (typeof SHOWN_FLAGS)[number]]?: string | undefined }) {
  const flags = SHOWN_FLAGS.flatMap((flag) => {
    const value = values[flag]
    return value === undefined ? [] : [`--${flag} ${quoted(value)}`]
  })
  return (verb: string): string => ["serin", verb, ...flags].join(" ")
}

/** Refuse to begin what would have to be written. */
export function requireWritable({ readOnly, shownState }: Place, verb: string): void {
  if (readOnly) throw usage(`serin ${verb}: ${shownState} can only be read; name the store behind it with --state`)
}

/** Write a path as a shell reads it. */
export const quoted = (path: string): string =>
  /^[\w./:,@+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`

/** Read the rollout's file. Throws `SPEC_INVALID`. */
export async function readSpec({ file, shownFile }: RolloutFile): Promise<RolloutSpec> {
  return parseSpec(await readText(file, shownFile), { path: shownFile })
}

export async function readText(file: string, shownFile: string): Promise<string> {
  try {
    return await readFile(file, "utf8")
  } catch (cause) {
    const isGone = cause instanceof Error && "code" in cause && cause.code === "ENOENT"
    const fix = isGone ? "`serin init` writes one; --rollout says where it is" : whyUnread(cause)
    throw new SerinError("SPEC_INVALID", `the rollout file ${shownFile} cannot be read: ${fix}`, { cause })
  }
}

/**
 * Find out which rollout is meant. A file that is broken or gone must not keep anybody from stopping a canary: then its name
 * is enough, or the one rollout that the state directory holds, or what was given in the place of the file, where it can be a name.
 */
export async function rolloutName(place: Place, out: Printer): Promise<string> {
  try {
    return (await readSpec(place)).rollout
  } catch (error) {
    const text = await readFile(place.file, "utf8").catch(() => null)
    const given = text === null && isName(place.shownFile) ? place.shownFile : null
    const name = given ?? readRoughly(text ?? "").rollout ?? (await loneRollout(place.stateDir))
    if (name === null) throw error
    if (given === null) {
      out.note(`note: ${place.shownFile} is not valid; going by the name ${name} (\`${place.command("validate")}\`)`)
    }
    return name
  }
}

/** `refund-agent` may be a file, too, but `rollout.yaml` is no name. */
const isName = (given: string): boolean => ROLLOUT_NAME.test(given) && !/\.(ya?ml|json)$/.test(given)

/** Rollouts that a state directory holds; without one, nobody can say. */
export async function rolloutsIn(stateDir: string | null): Promise<readonly string[]> {
  if (stateDir === null) return []
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

async function loneRollout(stateDir: string | null): Promise<string | null> {
  const found = await rolloutsIn(stateDir)
  return found.length === 1 ? (found[0] ?? null) : null
}

/** Say who acts: `--by`, else what the environment tells. */
export function actorOf({ by }: Pick<Values<typeof ACTOR_FLAGS>, "by">, { env }: Io): Actor {
  return { kind: "human", id: by || env["SERIN_ACTOR"] || env["USER"] || "unknown" }
}
