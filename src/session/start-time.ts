const UUID_V7 = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i
const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

/** Ids are not proof of time: one from further ahead than this (ms) is not believed. */
const MAX_AHEAD_MS = 60_000
/** 2015-01-01: an id that claims to be older is not a time-ordered id. */
const OLDEST_MS = 1_420_070_400_000

/**
 * Read the start of a session from a UUIDv7 (RFC 9562 §5.7) or ULID id, ms since the epoch.
 * Undefined when the id is neither, or when its time is not plausible at `now`.
 */
export function startTimeOf(sessionId: string, now: number): number | undefined {
  const time = timeInUuidV7(sessionId) ?? timeInUlid(sessionId)
  return time !== undefined && time >= OLDEST_MS && time <= now + MAX_AHEAD_MS ? time : undefined
}

function timeInUuidV7(id: string): number | undefined {
  if (id.length !== 36) return undefined
  const match = UUID_V7.exec(id)
  return match === null ? undefined : Number.parseInt(`${match[1]}${match[2]}`, 16)
}

function timeInUlid(id: string): number | undefined {
  if (id.length !== 26 || !ULID.test(id)) return undefined
  let time = 0
  for (const character of id.slice(0, 10).toUpperCase()) time = time * 32 + CROCKFORD.indexOf(character)
  return time
}
