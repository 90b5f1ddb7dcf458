import type { Diff } from "../evidence/diffs.js"
import { packEvidence } from "../evidence/packed.js"
import { evidenceKey, PUBLICATION_FORMAT, PUBLISHED_DIFFS, requirePublisher } from "../evidence/publication.js"
import type { Publication } from "../evidence/publication.js"
import type { EvidenceSink } from "../evidence/sink.js"
import type { Clock } from "../model/clock.js"
import type { Evidence } from "../model/evidence.js"
import { DEADLINE_MS, inTime } from "./deadline.js"
import { messageOf } from "./message.js"

export interface PublisherOptions {
  readonly rollout: string
  /** This process in this one run: 1 to 128 of A-Z, a-z, 0-9, `.`, `_` and `-`. */
  readonly publisher: string
  readonly sink: EvidenceSink
  readonly clock: Clock
  evidence(): Evidence
  diffs(): readonly Diff[]
  /** Why the fuse of this process is blown. */
  fuse(): string | null
  /** Whether the canary is loaded. */
  ready(): boolean
  /** Time between two looks at what was counted, ms. Default 10,000. */
  readonly everyMs?: number | undefined
  /** Longest wait for the sink, ms. Default 2,000. */
  readonly deadlineMs?: number | undefined
}

/** What became of the evidence that this process publishes. */
export interface PublisherStatus {
  readonly publisher: string
  /** Of the last publication that arrived; 0: none has. */
  readonly sequence: number
  /** Wall clock, ms. */
  readonly publishedAt: number | null
  /** Why the last try failed; the next one says all of it again. */
  readonly problem?: string | undefined
}

/** Publishes what one process has counted, for a leader in another one. Hurts nobody when it cannot. */
export interface Publisher {
  status(): PublisherStatus
  /** Publish now, if there is anything to say. Never rejects. */
  publish(): Promise<void>
  /** Publish once more, and stop; within the deadline. Never rejects. */
  close(): Promise<void>
}

/** Looks after which a process says that it is alive although nothing has changed. */
const ALIVE_EVERY = 3
/** Looks that a sink which fails is left alone for, at the most. */
const MAX_BACKOFF = 8

/** Publish at once and then every `everyMs`, where something has changed. */
export function createPublisher(options: PublisherOptions): Publisher {
  const { rollout, publisher, sink, clock, everyMs = 10_000, deadlineMs = DEADLINE_MS } = options
  requirePublisher(publisher)
  const key = `${evidenceKey(rollout)}/${publisher}`
  const since = clock.now()
  let sequence = 0
  let arrived = { sequence: 0, at: null as number | null, said: "" }
  let quiet = 0
  let failures = 0
  let problem: string | undefined
  let publishing: Promise<void> | null = null
  let closed = false
  let cancel = clock.schedule(next, 0)

  function next(): void {
    void publish().then(() => {
      if (closed) return
      const most = everyMs * Math.min(2 ** failures, MAX_BACKOFF)
      // Those that failed together do not come back together.
      cancel = clock.schedule(next, failures === 0 ? everyMs : everyMs / 2 + Math.random() * (most - everyMs / 2))
    })
  }

  /** All that is worth a publication when it changes. About a millisecond a stage. */
  function say(): Pick<Publication, "generation" | "salt" | "evidence" | "releases" | "fuse"> {
    const counted = options.evidence()
    const { generation, bytes } = packEvidence(counted)
    const evidence = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")
    const releases = options.ready() ? "ready" : "missing"
    return { generation, salt: counted.salt ?? "", evidence, releases, fuse: options.fuse() }
  }

  async function put(): Promise<void> {
    try {
      const news = say()
      const said = JSON.stringify(news)
      if (said === arrived.said && ++quiet < ALIVE_EVERY) return
      const publication: Publication = {
        format: PUBLICATION_FORMAT,
        rollout,
        publisher,
        sequence: ++sequence,
        since,
        at: clock.now(),
        diffs: options.diffs().slice(0, PUBLISHED_DIFFS),
        ...news,
      }
      await inTime(clock, deadlineMs, (signal) => sink.put(key, JSON.stringify(publication), { signal }))
      arrived = { sequence: publication.sequence, at: publication.at, said }
      quiet = 0
      failures = 0
      problem = undefined
    } catch (error) {
      failures++
      problem = messageOf(error)
    }
  }

  function publish(): Promise<void> {
    publishing ??= put().finally(() => (publishing = null))
    return publishing
  }

  return {
    status: () => ({ publisher, sequence: arrived.sequence, publishedAt: arrived.at, problem }),
    publish,
    async close() {
      closed = true
      cancel()
      await publishing
      await publish()
    },
  }
}
