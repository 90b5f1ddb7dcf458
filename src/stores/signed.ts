import { refuseUnknown, requireMethods } from "../model/options.js"
import type { StateStore } from "../rollout/store.js"
import { requireEnough, resolveSigners, sealEnvelope } from "../signing/seal.js"
import type { TrustedKeys } from "../signing/trust.js"
import { checkWrite } from "./document.js"
import { openVersioned, readTrusted, requireTrust, signedType, verifiedHistory } from "./trusted.js"

export { trustedStore } from "./trusted.js"
export type { TrustedStoreOptions } from "./trusted.js"

/** Options of `signedStore()`. */
export interface SignedStoreOptions {
  /** Public halves of the keys that sign state, as `trustedStore` takes them: what is read is verified, before it is written on. */
  readonly trustedKeys: TrustedKeys
  /**
   * Ed25519 private keys in PEM (PKCS #8), not encrypted. Each signs all that is written. While a key changes: the old one and the new
   * one, so that those who trust only one of them go on.
   */
  readonly signWith: string | readonly string[]
}

/**
 * Write and read through another store: what is written is signed, and what is read is verified as by `trustedStore`. For those who move
 * a rollout; the evidence of processes comes and goes as it is.
 * `get` and `compareAndSet` reject with `STATE_UNTRUSTED`; `history` leaves out what cannot be trusted. Throws `TypeError` and
 * `RangeError` for options that are none.
 */
export function signedStore(store: StateStore, options: SignedStoreOptions): StateStore {
  const fix = "pass the store to write to first: signedStore(store, { trustedKeys, signWith })"
  requireMethods("store", store, ["get", "compareAndSet", "watch", "history", "list", "remove"], fix)
  refuseUnknown("signedStore", options, { trustedKeys: true, signWith: true })
  const trust = requireTrust(options?.trustedKeys)
  const signers = resolveSigners(options.signWith)
  requireEnough(signers, trust)
  const reading = readTrusted(store, trust)
  return {
    ...reading,
    async compareAndSet(key, expectedRevision, text, options) {
      checkWrite(expectedRevision, text, reading.caps.maxBytes, options)
      const type = signedType(key)
      const envelope = type === null ? text : sealEnvelope(type, text, signers)
      const result = await store.compareAndSet(key, expectedRevision, envelope, options)
      if (result.ok || result.current === null) return result
      return { ok: false, current: openVersioned(key, result.current, trust, store.caps) }
    },
    history: (key, options) => verifiedHistory(store, key, trust, options),
    list: (under, options) => store.list(under, options),
    remove: (key, options) => store.remove(key, options),
  }
}
