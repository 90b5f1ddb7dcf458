import { textIn } from "../model/utf8.js"
import type { StateStore, StoreOptions, Witnessed } from "../rollout/store.js"
import { parseEnvelope } from "../signing/envelope.js"
import type { Trust } from "../signing/trust.js"
import { openVersioned } from "./trusted.js"

/** Read every revision of a document, newest first, also those that nobody trusted signed: an audit leaves none out. */
export async function* witnessedHistory(
  store: Pick<StateStore, "history" | "caps">,
  key: string,
  trust: Trust | null,
  options?: StoreOptions,
): AsyncGenerator<Witnessed> {
  for await (const found of store.history(key, options)) {
    const { revision, envelope } = found
    const content = contentOf(envelope)
    const isSigned = content !== envelope
    if (trust === null) yield { revision, content, signed: isSigned ? "unchecked" : "no" }
    else if (!isSigned) yield { revision, content, signed: "no" }
    else yield { revision, content, signed: isTrusted() ? "trusted" : "untrusted" }

    function isTrusted(): boolean {
      try {
        openVersioned(key, found, trust!, store.caps)
        return true
      } catch {
        return false
      }
    }
  }
}

/** Take a stored text out of its envelope, if it is in one; nothing is verified. */
export function contentOf(stored: string): string | Uint8Array {
  const envelope = stored.includes('"payloadType"') ? parseEnvelope(stored) : "plain"
  if (typeof envelope === "string") return stored
  try {
    return textIn(envelope.payload)
  } catch {
    return envelope.payload
  }
}
