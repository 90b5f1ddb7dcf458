import { SerinError, isSerinError } from "../errors.js"
import type { EvidenceQuery, EvidenceSource } from "../evidence/source.js"
import { requireClock, systemClock, type Clock } from "../model/clock.js"
import type { Evidence, EvidenceGap } from "../model/evidence.js"
import { refuseUnknown, type KeysOf } from "../model/options.js"
import type { Answer } from "./prometheus/answer.js"
import { evidenceOf, requireCount, type Count } from "./prometheus/counts.js"
import { ask, type Server } from "./prometheus/http.js"
import { processesIn, wholeCounts, type Processes } from "./prometheus/processes.js"
import * as promql from "./prometheus/promql.js"

/** Options of `prometheusSource()`. */
export interface PrometheusSourceOptions {
  /** Where the server is; `/api/v1/query` is below it. http or https. */
  readonly url: string | URL
  /** Name of the rollout, as in its spec. */
  readonly rollout: string
  /** Sent with every query: a token, a tenant. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Labels that the series must have besides their own, where several environments share a server. */
  readonly match?: Readonly<Record<string, string>> | undefined
  /** Evidence whose newest sample is older is stale, ms by the server's clock. Default 120,000. */
  readonly maxAgeMs?: number | undefined
  /**
   * A process that has not been scraped for this long has ended: its counts are read once more, and kept. Ms, default 300,000; three
   * times the scrape interval or more.
   */
  readonly endedAfterMs?: number | undefined
  /** How far back processes that ended are looked for by a source that has just been made, ms. Default 15 days, as Prometheus keeps data. */
  readonly historyMs?: number | undefined
  /** Share of the scraped processes whose last scrape must have worked, (0, 1]. With fewer, nothing passes. Default 0.9. */
  readonly minScraped?: number | undefined
  /** Longest wait for one answer, ms. Default 2,000. */
  readonly timeoutMs?: number | undefined
  /** What is larger is refused, bytes. Default 32 MiB. */
  readonly maxBytes?: number | undefined
  /** In place of the platform's `fetch`: for a proxy, or certificates of one's own. */
  readonly fetch?: typeof fetch | undefined
  readonly clock?: Clock | undefined
}

const KEYS: KeysOf<PrometheusSourceOptions> = {
  url: true,
  rollout: true,
  headers: true,
  match: true,
  maxAgeMs: true,
  endedAfterMs: true,
  historyMs: true,
  minScraped: true,
  timeoutMs: true,
  maxBytes: true,
  fetch: true,
  clock: true,
}

const DAY_MS = 86_400_000
/** Processes whose last counts are asked for at a time. */
const AT_ONCE = 4
/** Added to the time at which a process was last seen, which is known to a minute. */
const SLACK_S = 60

/** What is known of one generation from read to read. */
interface Book {
  readonly generation: number
  /** Processes that counted at the last read. */
  listed: ReadonlySet<string>
  /** What those that have ended have counted. */
  readonly ended: Map<string, readonly Count[]>
  /** When the last read was, seconds by the server's clock; 0: not yet. */
  readAt: number
}

/**
 * Read the evidence of a fleet from a Prometheus or what speaks its query API; the processes export it with `evidenceMetrics: true`.
 * Counts are exact, whoever restarts; a scrape that fails is a gap, over which nothing passes. Throws `TypeError` or `RangeError` for
 * options that cannot be meant. `read` rejects with `EVIDENCE_MISSING`, `EVIDENCE_STALE` and `EVIDENCE_UNAVAILABLE`.
 */
export function prometheusSource(options: PrometheusSourceOptions): EvidenceSource {
  const { server, rollout, match, maxAgeMs, endedAfterMs, historyMs, minScraped } = resolve(options)
  const recent = { seconds: endedAfterMs / 1000 }
  const stepSeconds = Math.min(5, Math.max(1, Math.floor(maxAgeMs / 4000)))
  let book: Book | null = null

  const query = (text: string, signal: AbortSignal | undefined, at?: number): Promise<Answer> =>
    ask(server, { promql: text, signal, at })

  async function read({ signal, generation }: EvidenceQuery = {}): Promise<Evidence> {
    const selection = { rollout, match, generation: generation ?? (await newestGeneration(signal)) }
    if (book?.generation !== selection.generation) {
      book = { generation: selection.generation, listed: new Set(), ended: new Map(), readAt: 0 }
    }
    // A read that is given up while the next one runs writes into its own book alone.
    const own = { ...book, ended: new Map(book.ended) }
    const answer = await query(promql.freshCountsQuery(selection, recent, stepSeconds), signal)
    const now = answer.samples[0]?.at
    const processes = processesIn(answer.samples)
    if (now === undefined || processes.counted.size === 0) throw await nobody(selection, signal)
    const counts = wholeCounts(answer.samples, processes)
    for (const process of processes.counted.keys()) own.ended.delete(process)
    await readEnded(selection, own, { processes, now }, signal)
    own.listed = new Set(processes.counted.keys())
    own.readAt = now
    book = own
    const gap = gapOf(answer, processes, now)
    return { ...evidenceOf(selection.generation, [counts, ...own.ended.values()]), ...(gap && { gap }) }
  }

  async function newestGeneration(signal: AbortSignal | undefined): Promise<number> {
    const { samples } = await query(promql.generationsQuery({ rollout, match }, recent), signal)
    const generations = samples.map(({ labels }) => Number(labels.get(promql.GENERATION)))
    for (const generation of generations) requireCount(generation, promql.GENERATION)
    if (generations.length === 0) throw missing(`has no evidence of ${rollout}: no process exports it`)
    return Math.max(...generations)
  }

  /** Find who has ended since the last read, or ever, and read what each has counted. */
  async function readEnded(
    selection: promql.Selection,
    own: Book,
    { processes, now }: { readonly processes: Processes; readonly now: number },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const gone = (all: Iterable<string>): string[] =>
      [...all].filter((process) => !processes.counted.has(process) && !own.ended.has(process))
    // Read at least twice while a process counts as there, and nobody ends unnoticed; else the server is asked who there was.
    const watched = now - own.readAt <= recent.seconds / 2
    const past = watched ? null : await history(selection, signal)
    const waiting = gone(past === null ? own.listed : past.counted.keys())
    const readOne = async (process: string): Promise<void> => {
      const seen = past?.seen.get(process)
      // One that was never seen on the minute has few samples, wherever they are.
      const seconds = past === null ? 2 * recent.seconds : seen === undefined ? historyMs / 1000 : 2 * SLACK_S
      const at = seen === undefined ? now : Math.min(now, seen + SLACK_S)
      const { samples } = await query(promql.countsQuery({ ...selection, process }, { seconds }), signal, at)
      own.ended.set(process, wholeCounts(samples, processesIn(samples)))
    }
    for (let i = 0; i < waiting.length; i += AT_ONCE) {
      await Promise.all(waiting.slice(i, i + AT_ONCE).map(readOne))
      // Where there are too many for one read, the next goes on from here.
      if (book?.generation === own.generation)
        for (const [process, counts] of own.ended) book.ended.set(process, counts)
    }
  }

  async function history(selection: promql.Selection, signal: AbortSignal | undefined): Promise<Processes> {
    const { samples } = await query(promql.historyQuery(selection, { seconds: historyMs / 1000 }), signal)
    return processesIn(samples)
  }

  async function nobody(selection: promql.Selection, signal: AbortSignal | undefined): Promise<SerinError> {
    const { seen } = await history(selection, signal)
    if (seen.size === 0) {
      return missing(`has no evidence of ${rollout}, generation ${selection.generation}: no process exports it`)
    }
    const last = new Date(1000 * Math.max(...seen.values())).toISOString()
    return new SerinError("EVIDENCE_STALE", `has scraped no process since ${last}`)
  }

  function gapOf({ samples, warnings }: Answer, { seen }: Processes, now: number): EvidenceGap | null {
    const newest = Math.max(...seen.values())
    const ageMs = 1000 * (now - newest)
    // The newest of none is -Infinity: the sample is there, and nobody knows of when.
    if (!(ageMs <= maxAgeMs)) {
      const since = Number.isFinite(newest) ? new Date(1000 * newest).toISOString() : "it is unknown when"
      return { noData: "stale", detail: `the newest sample is of ${since}` }
    }
    const targets = (part: string): number => samples.find(({ labels }) => labels.get(promql.PART) === part)?.value ?? 0
    const [down, up] = [targets("down"), targets("up")]
    if (up < minScraped * (up + down)) {
      return { noData: "stale", detail: `${down} of ${up + down} processes cannot be scraped` }
    }
    if (warnings.length > 0) {
      return { noData: "errored", detail: `the server warns: ${warnings.join("; ").slice(0, 300)}` }
    }
    return null
  }

  return {
    read: (wanted) =>
      read(wanted).catch((error: unknown) => {
        if (!isSerinError(error)) throw error
        throw new SerinError(error.code, `${server.url.origin}${server.url.pathname} ${error.message}`, {
          cause: error.cause,
        })
      }),
  }
}

const missing = (message: string): SerinError => new SerinError("EVIDENCE_MISSING", message)

function resolve(options: PrometheusSourceOptions) {
  refuseUnknown("prometheusSource", options, KEYS)
  const { rollout, headers = {}, match = {}, clock = systemClock } = options
  if (typeof rollout !== "string" || rollout === "") {
    throw new TypeError("rollout must be the name of the rollout, as in its file")
  }
  requireClock(clock)
  const { maxAgeMs = 120_000, endedAfterMs = 300_000, historyMs = 15 * DAY_MS } = options
  const { timeoutMs = 2000, maxBytes = 32 * 1024 * 1024, minScraped = 0.9 } = options
  for (const [name, value] of Object.entries({ maxAgeMs, endedAfterMs, historyMs, timeoutMs, maxBytes, minScraped })) {
    if (!(typeof value === "number" && value > 0 && value < Infinity)) {
      throw new RangeError(`${name} must be a number above 0, got ${String(value)}`)
    }
  }
  if (minScraped > 1) throw new RangeError(`minScraped must be a share, at most 1, got ${minScraped}`)
  if (maxAgeMs > endedAfterMs) {
    throw new RangeError(`maxAgeMs must be at most endedAfterMs (${endedAfterMs}), got ${maxAgeMs}`)
  }
  for (const label of Object.keys(match)) {
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label)) {
      throw new RangeError(`match must have names of labels for keys, got ${JSON.stringify(label)}`)
    }
  }
  const fetch = options.fetch ?? globalThis.fetch
  const server: Server = { url: addressOf(options.url), headers, timeoutMs, maxBytes, fetch, clock }
  return { server, rollout, match, maxAgeMs, endedAfterMs, historyMs, minScraped }
}

function addressOf(url: string | URL): URL {
  const parsed = URL.canParse(String(url)) ? new URL(url) : null
  if (parsed === null || !["http:", "https:"].includes(parsed.protocol)) {
    throw new TypeError(`url must be an http or https address, got ${JSON.stringify(String(url)).slice(0, 100)}`)
  }
  if (parsed.username !== "" || parsed.password !== "") {
    throw new RangeError("url must be without a name and password; send them in headers (authorization)")
  }
  if (!parsed.pathname.endsWith("/")) parsed.pathname += "/"
  parsed.search = ""
  parsed.hash = ""
  return parsed
}
