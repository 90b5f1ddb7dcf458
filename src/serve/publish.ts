import type { Clock } from "../model/clock.js"
import { evidenceKey, stateKey } from "../controller/keys.js"
import { withDeadlines } from "../controller/deadline.js"
import type { StateStore, Versioned } from "../rollout/store.js"
import { done, refusal } from "./answer.js"
import { readBody } from "./body.js"

/** Evidence of one process: some hundred kilobytes where it judged in every cohort of every stage. UTF-8 bytes. */
const MAX_EVIDENCE_BYTES = 4 * 1024 * 1024
/** Each is a process in one of its runs; a leader removes those that are gone. */
const MAX_PUBLISHERS = 10_000
/** Bodies that are read at once: what they take is bounded. */
const MAX_AT_ONCE = 32
/** Publishers do not share documents: a loss is another copy of the same request. */
const MAX_ATTEMPTS = 5

export interface Publish {
  readonly rollout: string
  readonly publisher: string
}

/** Take a process's evidence into the store, so that a restart of this process loses nothing. */
export function publishing(given: StateStore, clock: Clock): (request: Request, to: Publish) => Promise<Response> {
  const store = withDeadlines(given, clock, 2000)
  let atOnce = 0

  return async (request, to) => {
    const type = (request.headers.get("content-type") ?? "").split(";")[0]?.trim().toLowerCase()
    const encoding = request.headers.get("content-encoding") ?? "identity"
    if (type !== "application/json" || encoding !== "identity") {
      return refusal(415, "UNSUPPORTED_MEDIA_TYPE", "evidence is application/json, and not compressed")
    }
    if (atOnce >= MAX_AT_ONCE) {
      return refusal(503, "UNAVAILABLE", `${MAX_AT_ONCE} are being taken in already`, { "retry-after": "1" })
    }
    atOnce++
    try {
      const body = await readBody(request, MAX_EVIDENCE_BYTES, clock)
      if ("refused" in body) return body.refused
      const sequence = sequenceOf(body.text, to)
      if (typeof sequence === "string") return refusal(422, "INVALID", sequence)
      return await write(to, body.text, sequence)
    } finally {
      atOnce--
    }
  }

  async function write(to: Publish, text: string, sequence: number): Promise<Response> {
    const key = `${evidenceKey(to.rollout)}/${to.publisher}`
    let current = await store.get(key)
    if (current === null) {
      const refused = await refuseNew(to)
      if (refused !== null) return refused
    }
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const refused = current === null ? null : refuseOlder(current, text, sequence, to)
      if (refused !== null) return refused
      const written = await store.compareAndSet(key, current?.revision ?? 0, text, { keep: 2 })
      if (written.ok) return done()
      current = written.current
    }
    return refusal(503, "UNAVAILABLE", "others write this document all the time", { "retry-after": "1" })
  }

  /** Attack: names that nobody has, until the store is full. */
  async function refuseNew({ rollout }: Publish): Promise<Response | null> {
    if ((await store.get(stateKey(rollout))) === null) return refusal(404, "NOT_FOUND", "there is no such rollout")
    if ((await store.list(evidenceKey(rollout))).length < MAX_PUBLISHERS) return null
    return refusal(429, "TOO_MANY", `${MAX_PUBLISHERS} processes publish already`, { "retry-after": "60" })
  }
}

/** A request that was held up on the way must not undo a later one; one that comes twice has happened once. */
function refuseOlder(current: Versioned, text: string, sequence: number, to: Publish): Response | null {
  if (current.envelope === text) return done()
  const stored = sequenceOf(current.envelope, to)
  // What cannot be read is not worth keeping.
  if (typeof stored === "string" || stored < sequence) return null
  if (stored > sequence) return refusal(409, "OLDER", `sequence ${stored} is there already`)
  return refusal(409, "DIFFERENT", `sequence ${sequence} is there already, and says something else`)
}

/** What must be true of evidence before it is worth storing; whether its counts add up is for the leader to say. A text says what is wrong. */
function sequenceOf(text: string, { rollout, publisher }: Publish): number | string {
  let value: unknown
  try {
    value = JSON.parse(text, (key, member: unknown) => {
      if (key === "__proto__") throw new SyntaxError("`__proto__` is no key")
      return member
    })
  } catch {
    return "the body is not JSON that can be read"
  }
  if (typeof value !== "object" || value === null) return "the body is no object"
  const document = value as Readonly<Record<string, unknown>>
  if (document["format"] !== "serin/evidence/1") return "format must be serin/evidence/1"
  if (document["rollout"] !== rollout) return "rollout must be that of the address"
  if (document["publisher"] !== publisher) return "publisher must be that of the address"
  const { sequence } = document
  return typeof sequence === "number" && Number.isSafeInteger(sequence) && sequence > 0
    ? sequence
    : "sequence must be a whole number from 1 on"
}
