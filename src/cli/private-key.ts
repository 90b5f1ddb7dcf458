import { createPrivateKey } from "node:crypto"
import type { KeyObject } from "node:crypto"
import { readFileSync, statSync } from "node:fs"
import { resolve } from "node:path"
import { whyUnread } from "../model/file-error.js"
import { PEM_BLOCK } from "../signing/trust.js"
import { usage } from "./command.js"
import type { Io } from "./io.js"

export interface PrivateKeys {
  /** At least one. */
  readonly keys: readonly KeyObject[]
  /** Others than its owner may read the file. */
  readonly isOpen: boolean
}

/** Read the Ed25519 private keys of a file, one or several in PEM. `flag` names it in messages, such as `serin release sign: --key`. */
export function readPrivateKeys(flag: string, shown: string, { cwd, env }: Pick<Io, "cwd" | "env">): PrivateKeys {
  const path = resolve(cwd, shown)
  let pem: string
  try {
    pem = readFileSync(path, "utf8")
  } catch (error) {
    throw usage(`${flag} ${shown} cannot be read: ${whyUnread(error)}`)
  }
  const passphrase = env["SERIN_KEY_PASSPHRASE"]
  const blocks = [...pem.matchAll(PEM_BLOCK)].map(([block]) => block)
  const keys = (blocks.length === 0 ? [pem] : blocks).map((block) => readKey(block, passphrase, flag, shown))
  return { keys, isOpen: process.platform !== "win32" && (statSync(path).mode & 0o077) !== 0 }
}

function readKey(pem: string, passphrase: string | undefined, flag: string, shown: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey({ key: pem, ...(passphrase !== undefined && { passphrase }) })
  } catch {
    // The cause is dropped: nothing of a key may reach a log.
    const fix = pem.includes("ENCRYPTED") ? "$SERIN_KEY_PASSPHRASE does not open it" : "it holds no private key in PEM"
    throw usage(`${flag} ${shown} cannot be used: ${fix}`)
  }
  if (key.asymmetricKeyType !== "ed25519") throw usage(`${flag} must be an Ed25519 key, got ${key.asymmetricKeyType}`)
  return key
}
