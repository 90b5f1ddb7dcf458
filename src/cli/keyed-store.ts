import { createPublicKey } from "node:crypto"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { SerinError } from "../errors.js"
import { whyUnread } from "../model/file-error.js"
import type { StateStore, StoreOptions, Versioned } from "../rollout/store.js"
import { parseEnvelope } from "../signing/envelope.js"
import { resolveTrust } from "../signing/trust.js"
import type { Trust, TrustedKeys } from "../signing/trust.js"
import { signedStore } from "../stores/signed.js"
import { readTrusted, signedType, verifiedHistory } from "../stores/trusted.js"
import { usage, type PLACE_FLAGS, type Values } from "./command.js"
import type { Io } from "./io.js"
import { readPrivateKeys } from "./private-key.js"
import { trustOf } from "./trusted-keys.js"

/** What to do where a state has to be signed. */
export const NAME_THEM = "name the state key with --state-key FILE or $SERIN_STATE_KEY"
const TO_READ = "to read alone, its public half with --trusted-keys FILE or $SERIN_TRUSTED_KEYS"

/** A store as the command line's keys let it be used, and whether it may be written. */
export interface KeyedStore {
  readonly store: StateStore
  readonly signs: boolean
  /** Whether only public keys are named: then what writes fails with `USAGE`. */
  readonly readsAlone: boolean
  /** The keys that must have signed; null: none are named. */
  readonly trust: Trust | null
}

/** Sign and verify by the keys that the command line and the environment name. Throws `USAGE`. */
export function keyedStore(raw: StateStore, values: Partial<Values<typeof PLACE_FLAGS>>, io: Io): KeyedStore {
  const keyFile = values["state-key"] ?? (io.env["SERIN_STATE_KEY"] || undefined)
  const trusted = trustedKeysOf(values, io)
  if (keyFile === undefined)
    return trusted === null
      ? { store: plainStore(raw), signs: false, readsAlone: false, trust: null }
      : { store: readOnly(raw, trusted), signs: false, readsAlone: true, trust: resolveTrust(trusted) }
  const { keys } = readPrivateKeys("serin: --state-key", keyFile, io)
  const pems = keys.map((key) => key.export({ type: "pkcs8", format: "pem" }).toString())
  const own = {
    keys: keys.map((key) =>
      createPublicKey(key as unknown as string)
        .export({ type: "spki", format: "pem" })
        .toString(),
    ),
  }
  try {
    const trustedKeys = trusted ?? own
    const store = signedStore(raw, { trustedKeys, signWith: pems })
    return { store, signs: true, readsAlone: false, trust: resolveTrust(trustedKeys) }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw usage(`serin: --state-key ${keyFile}: ${error.message.replaceAll("trustedKeys.keys", "--trusted-keys")}`)
  }
}

function trustedKeysOf(values: Partial<Values<typeof PLACE_FLAGS>>, { cwd, env }: Io): TrustedKeys | null {
  const file = values["trusted-keys"] ?? (env["SERIN_TRUSTED_KEYS"] || undefined)
  const threshold = values["trusted-threshold"]
  if (file === undefined) {
    if (threshold !== undefined) throw usage("serin: --trusted-threshold needs --trusted-keys FILE")
    return null
  }
  let text: string
  try {
    text = readFileSync(resolve(cwd, file), "utf8")
  } catch (error) {
    throw usage(`serin: --trusted-keys ${file} cannot be read: ${whyUnread(error)}`)
  }
  return trustOf("serin", text, threshold, { keys: `--trusted-keys ${file}`, threshold: "--trusted-threshold" })
}

/** Without a private key: what is trusted can be read, and nothing written. */
function readOnly(raw: StateStore, trusted: TrustedKeys): StateStore {
  const trust = resolveTrust(trusted)
  return {
    ...raw,
    ...readTrusted(raw, trust),
    history: (key, options) => verifiedHistory(raw, key, trust, options),
    compareAndSet: () => Promise.reject(usage(`serin: the public keys let you read alone; to write, ${NAME_THEM}`)),
  }
}

/** Without keys: a signed state would be taken for a broken one, and an unsigned kill written over it, which nobody obeys. */
function plainStore(raw: StateStore): StateStore {
  async function get(key: string, options?: StoreOptions): Promise<Versioned | null> {
    const found = await raw.get(key, options)
    if (found === null || !isSigned(key, found.envelope)) return found
    throw new SerinError("STATE_UNTRUSTED", `${key} is signed: ${NAME_THEM}; ${TO_READ}`)
  }
  return {
    ...raw,
    get,
    async *history(key, options) {
      await get(key, options)
      yield* raw.history(key, options)
    },
  }
}

function isSigned(key: string, text: string): boolean {
  if (!text.includes('"payloadType"')) return false
  const envelope = parseEnvelope(text)
  return typeof envelope !== "string" && envelope.payloadType === signedType(key)
}
