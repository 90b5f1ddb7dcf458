import { isSerinError, SerinError } from "../errors.js"
import { refuseUnknown, requireMethods } from "../model/options.js"
import { textIn } from "../model/utf8.js"
import { MAX_STATE_BYTES } from "../rollout/state.js"
import type { ReadStore, StateStore, StoreCaps, StoreOptions, Versioned } from "../rollout/store.js"
import { openEnvelope } from "../signing/open.js"
import { resolveTrust } from "../signing/trust.js"
import type { Trust, TrustedKeys } from "../signing/trust.js"

/** Options of `trustedStore()`. */
export interface TrustedStoreOptions {
  /** Public halves of the keys that sign state. Not those that sign releases: who may stop a canary need not be able to make one. */
  readonly trustedKeys: TrustedKeys
}

/**
 * Read through another store, and give only documents that enough trusted keys signed: `envelope` is then the text that was signed. The
 * evidence that processes publish is each one's own, and comes as it is.
 * `get` rejects with `STATE_UNTRUSTED`, which says why. Throws `TypeError` and `RangeError` for options that are none.
 */
export function trustedStore(store: ReadStore, options: TrustedStoreOptions): ReadStore {
  requireMethods(
    "store",
    store,
    ["get", "watch"],
    "pass the store to read from first: trustedStore(store, { trustedKeys })",
  )
  refuseUnknown("trustedStore", options, { trustedKeys: true })
  return readTrusted(store, requireTrust(options?.trustedKeys))
}

/** As {@link trustedStore}, with keys that are parsed. */
export function readTrusted(store: ReadStore, trust: Trust): ReadStore {
  const caps = capsInside(store.caps)

  function opened(key: string, found: Versioned): Versioned | undefined {
    try {
      return openVersioned(key, found, trust, store.caps)
    } catch {
      return undefined
    }
  }

  return {
    caps,
    async get(key, options) {
      const found = await store.get(key, options)
      return found === null ? null : openVersioned(key, found, trust, store.caps)
    },
    // What is brought is trusted no more than what is asked for. Why it is not is told to who then asks.
    watch: (key, hint, options) => store.watch(key, (found) => hint(found && opened(key, found)), options),
    unseal: (key, text) => openVersioned(key, { revision: 0, token: "", envelope: text }, trust, store.caps).envelope,
    // It comes from this process and not from a document: there is nothing to verify, and it can only stop.
    ...(store.kill !== undefined && { kill: () => store.kill?.() ?? null }),
  }
}

/** Parse keys that must be there: `undefined` must not mean that everybody is trusted. */
export function requireTrust(trustedKeys: TrustedKeys | undefined): Trust {
  const trust = resolveTrust(trustedKeys)
  if (trust === null)
    throw new TypeError("trustedKeys must be { keys, threshold? }, got undefined; write { keys: [pem] }")
  return trust
}

/**
 * What a document is signed as; null: it is not signed. The type names the very document, so that nothing has to be parsed to know that a
 * signed text is another rollout's, or another document of this one.
 */
export function signedType(key: string): string | null {
  return key.split("/")[1] === EVIDENCE ? null : `application/vnd.serin.document+json;key=${key}`
}

/** Written by processes that only follow, which hold no key. As in the controller's `evidenceKey`. */
const EVIDENCE = "evidence"

/** Room for the type and sixteen signatures, bytes. */
const ENVELOPE_BYTES = 4096

/** What a store takes of signed text: base64 makes four bytes of three. */
export const capsInside = (caps: StoreCaps): StoreCaps => ({
  ...caps,
  maxBytes: Math.max(0, Math.floor(((caps.maxBytes - ENVELOPE_BYTES) * 3) / 4)),
})

/** Answer what was signed. Throws `STATE_UNTRUSTED`. */
export function openVersioned(key: string, found: Versioned, trust: Trust, { maxBytes }: StoreCaps): Versioned {
  const type = signedType(key)
  if (type === null) return found
  // Attack: a document without end, to be parsed where calls are judged. Reports and records are read by people's tools alone.
  const most = /\/(?:state|leader)$/.test(key) ? Math.min(maxBytes, MAX_ENVELOPE) : maxBytes
  if (found.envelope.length > most) throw untrusted(key, found, `it is over ${most} bytes long`)
  const opened = openEnvelope(found.envelope, { name: "it", type, trust })
  if (typeof opened === "string") throw untrusted(key, found, opened)
  const envelope = decode(opened.payload) ?? refuse(key, found, "what was signed is no UTF-8")
  return { ...found, envelope, sealed: found.envelope }
}

/** A state in its envelope. */
const MAX_ENVELOPE = Math.ceil((MAX_STATE_BYTES * 4) / 3) + ENVELOPE_BYTES

function decode(payload: Uint8Array): string | null {
  try {
    return textIn(payload)
  } catch {
    return null
  }
}

function refuse(key: string, found: Versioned, message: string): never {
  throw untrusted(key, found, message)
}

function untrusted(key: string, { revision, envelope }: Versioned, why: string): SerinError {
  // The commonest case by far is a store from before there were keys.
  const message = isPlain(envelope) ? "it is not signed" : why
  const problems = [{ where: `${key}, revision ${revision}`, message, fix: FIX }]
  return new SerinError("STATE_UNTRUSTED", `${key} is not trusted: ${message}`, { problems, revision })
}

const FIX =
  "somebody without a trusted key wrote it, or keys changed; `serin sign` signs a state that you have looked at"

const isPlain = (text: string): boolean => /^\s*\{\s*"format"\s*:/.test(text.slice(0, 200))

/** Revisions of a document that can be trusted, newest first. */
export async function* verifiedHistory(
  store: StateStore,
  key: string,
  trust: Trust,
  options?: StoreOptions,
): AsyncGenerator<Versioned> {
  for await (const found of store.history(key, options)) {
    try {
      yield openVersioned(key, found, trust, store.caps)
    } catch (error) {
      if (!isSerinError(error) || error.code !== "STATE_UNTRUSTED") throw error
    }
  }
}
