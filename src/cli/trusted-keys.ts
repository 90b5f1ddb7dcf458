import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import { errorText } from "../model/error-text.js"
import { whyUnread } from "../model/file-error.js"
import { resolveTrust } from "../signing/trust.js"
import type { TrustedKeys } from "../signing/trust.js"
import { usage, type Flags } from "./command.js"
import type { Io } from "./io.js"

export const KEYS_FLAGS = {
  keys: { type: "string", value: "FILE", text: "the trusted public keys, one or several in PEM" },
  threshold: { type: "string", value: "N", text: "how many different ones must have signed (default: 1)" },
} as const satisfies Flags

/** Read the keys that the command line names; undefined: it names none. `verb` is for messages. */
export async function readTrustedKeys(
  verb: string,
  { keys, threshold }: { readonly keys: string | undefined; readonly threshold: string | undefined },
  io: Io,
): Promise<TrustedKeys | undefined> {
  if (keys === undefined) {
    if (threshold !== undefined) throw usage(`serin ${verb}: --threshold needs --keys FILE`)
    return undefined
  }
  const text = await readFile(resolve(io.cwd, keys), "utf8").catch((error: unknown) => {
    throw usage(`serin ${verb}: --keys ${keys} cannot be read: ${whyUnread(error)}`)
  })
  return trustOf(`serin ${verb}`, text, threshold, { keys: `--keys ${keys}`, threshold: "--threshold" })
}

/** Check keys that a file holds. Throws `USAGE` that names the flags as the command line has them. */
export function trustOf(
  command: string,
  text: string,
  threshold: string | undefined,
  flags: { readonly keys: string; readonly threshold: string },
): TrustedKeys {
  const trusted = { keys: [text], threshold: threshold === undefined ? undefined : Number(threshold) }
  try {
    resolveTrust(trusted)
    return trusted
  } catch (error) {
    const message = errorText(error)
    const told = message
      .replaceAll("trustedKeys.keys[0]", flags.keys)
      .replaceAll("trustedKeys.threshold", flags.threshold)
    throw usage(`${command}: ${told.replaceAll("trustedKeys.keys", flags.keys.split(" ", 1)[0] ?? "")}`)
  }
}
