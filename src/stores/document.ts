import { createHash } from "node:crypto"
import { SerinError } from "../errors.js"
import { MAX_REVISION } from "../rollout/store.js"
import type { Hint, Versioned, WriteOptions } from "../rollout/store.js"

/** Largest document of the built-in stores, UTF-8 bytes: a rollout's state takes a few thousand, a report some more. */
export const MAX_DOCUMENT_BYTES = 8 * 1024 * 1024

const SEGMENT = /^(?!\.)[A-Za-z0-9._-]{1,128}$/

/** Tell whether a name can be a part of a key. */
export const isSegment = (name: string): boolean => SEGMENT.test(name)

/** Split a key into the segments between its slashes. Throws `RangeError` for a key that could leave its place. */
export function keySegments(key: string): readonly string[] {
  const segments = key.split("/")
  if (!segments.every(isSegment)) {
    const rule = "segments of A-Z, a-z, 0-9, '.', '_' and '-', joined by '/', none beginning with '.'"
    throw new RangeError(`key must be ${rule}, got ${JSON.stringify(key)}`)
  }
  return segments
}

/** Check what is about to be written. Throws `RangeError`, also for text that would not come back as it went in. */
export function checkWrite(expectedRevision: number, envelope: string, maxBytes: number, options?: WriteOptions): void {
  if (options?.keep !== undefined) checkKeep(options.keep)
  if (!Number.isSafeInteger(expectedRevision) || expectedRevision < 0) {
    throw new RangeError(`expectedRevision must be a whole number from 0 on, got ${expectedRevision}`)
  }
  if (expectedRevision >= MAX_REVISION) {
    const message = `no revision can follow ${expectedRevision}, which was written by hand: take it out of the store`
    throw new SerinError("STORE_UNAVAILABLE", message)
  }
  const bytes = Buffer.byteLength(envelope)
  if (bytes > maxBytes) throw new RangeError(`envelope must be at most ${maxBytes} bytes, got ${bytes}`)
  if (!isWellFormed(envelope)) throw new RangeError("envelope must be well-formed Unicode, got half a surrogate pair")
}

/** Two at the least: a writer that slept must find the revision below the one that it would write. */
export function checkKeep(keep: number): void {
  if (!Number.isSafeInteger(keep) || keep < 2) throw new RangeError(`keep must be a whole number >= 2, got ${keep}`)
}

const isWellFormed = (text: string): boolean => !/\p{Surrogate}/u.test(text)

export function versioned(revision: number, envelope: string): Versioned {
  const hash = createHash("sha256").update(envelope).digest("hex").slice(0, 16)
  return { revision, token: `${revision}-${hash}`, envelope }
}

/** Throw before anything is done for a caller that has given up. */
export function refuseAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw new SerinError("STORE_UNAVAILABLE", "The caller gave up before the store answered", { cause: signal.reason })
  }
}

/** Run a host's callback where an exception of it can hurt nobody. */
export function callSafely(hint: Hint, found?: Versioned): void {
  try {
    hint(found)
  } catch {
    // A hint is a courtesy: the reader polls as well.
  }
}
