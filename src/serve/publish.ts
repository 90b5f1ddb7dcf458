import type { Clock } from "../model/clock.js"
import { stateKey } from "../controller/keys.js"
import { DEADLINE_MS, withDeadlines } from "../controller/deadline.js"
import { isSerinError } from "../errors.js"
import { evidenceKey, MAX_PUBLICATION_BYTES, parsePublication } from "../evidence/publication.js"
import type { StateStore, Versioned } from "../rollout/store.js"
import { done, refusal } from "./answer.js"
import { readBody } from "./body.js"

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
  const store = withDeadlines(given, clock, DEADLINE_MS)
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
      const body = await readBody(request, MAX_PUBLICATION_BYTES, clock)
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

/** Read evidence as its leader does, so that what would count for nothing is refused where its maker hears of it. A text says what is wrong. */
function sequenceOf(text: string, { rollout, publisher }: Publish): number | string {
  try {
    const said = parsePublication(text)
    if (said.rollout !== rollout) return "rollout must be that of the address"
    if (said.publisher !== publisher) return "publisher must be that of the address"
    return said.sequence
  } catch (error) {
    if (!isSerinError(error)) throw error
    return error.problems.map(({ where, message }) => `${where}: ${message}`).join("; ")
  }
}
