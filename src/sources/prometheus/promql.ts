import { COUNTED, LABELS, SERIES, SERIES_PREFIX } from "../../evidence/series.js"

/** How Prometheus calls a metric or a label of OpenTelemetry. */
export const promName = (name: string): string => name.replace(/[^a-zA-Z0-9_]/g, "_")

/** Names of counters as Prometheus has them, with the names of their families. */
export const COUNTERS: ReadonlyMap<string, string> = new Map(
  Object.keys(SERIES).map((family) => [`${promName(SERIES_PREFIX + family)}_total`, family]),
)
export const COUNTED_NAME = `${promName(COUNTED.name)}_total`
export const PROCESS = promName(LABELS.process)
export const GENERATION = promName(LABELS.generation)

/** Label by which the parts of one answer are told apart; those that have none are counts. */
export const PART = "part"

/** Labels that make a count what it is; whose it is, and who collected it, are not among them. */
const KEPT = [
  "__name__",
  ...new Set([LABELS.stratum, LABELS.cohort, LABELS.bins, ...Object.values(SERIES).flatMap(namesIn)].map(promName)),
].join(", ")

export interface Selection {
  readonly rollout: string
  readonly generation?: number | undefined
  readonly process?: string | undefined
  readonly match: Readonly<Record<string, string>>
}

/** Seconds, for one range. */
interface Range {
  readonly seconds: number
}

/** Every count of the processes heard of in the range, summed, and for each process the sum of all that it counted. */
export function countsQuery(selection: Selection, { seconds }: Range): string {
  const names = `__name__=~${quoted([...COUNTERS.keys()].join("|"))}`
  const each = `last_over_time({${names}, ${matchers(selection)}}[${duration(seconds)}])`
  // Whoever is scraped twice, or by two servers, counts once.
  const once = `max by (${KEPT}, ${PROCESS}) (${each})`
  return `sum by (${KEPT}) (${once}) or ${processesQuery(selection, { seconds })}`
}

/**
 * The same with what tells how fresh and how complete it is: all in one query, so that it is of one moment. How old the newest sample is, is
 * known to `stepSeconds`.
 */
export function freshCountsQuery(selection: Selection, range: Range, stepSeconds: number): string {
  const counted = `${COUNTED_NAME}{${matchers(selection)}}`
  const recent = `last_over_time(${counted}[${duration(range.seconds)}])`
  const targets = (up: 0 | 1): string =>
    `count(group by (job, instance) (${recent}) and on (job, instance) (up == ${up}))`
  return [
    countsQuery(selection, range),
    part("seen", seenQuery(counted, range.seconds, stepSeconds)),
    part("down", targets(0)),
    part("up", targets(1)),
  ].join(" or ")
}

/** Every process that was ever heard of in the range, with what it had counted and when it was last seen, to a minute. */
export function historyQuery(selection: Selection, range: Range): string {
  const counted = `${COUNTED_NAME}{${matchers(selection)}}`
  return `${processesQuery(selection, range)} or ${part("seen", seenQuery(counted, range.seconds, 60))}`
}

/** The generations that processes count in. */
export function generationsQuery(selection: Selection, { seconds }: Range): string {
  return `group by (${GENERATION}) (last_over_time(${COUNTED_NAME}{${matchers(selection)}}[${duration(seconds)}]))`
}

function processesQuery(selection: Selection, { seconds }: Range): string {
  const counted = `${COUNTED_NAME}{${matchers(selection)}}`
  return `max by (__name__, ${PROCESS}) (last_over_time(${counted}[${duration(seconds)}]))`
}

/** When the newest sample was taken. `timestamp` alone does not see past the mark that a failed scrape leaves. */
const seenQuery = (counted: string, seconds: number, step: number): string =>
  `max by (${PROCESS}) (max_over_time(timestamp(${counted})[${duration(seconds)}:${step}s]))`

const part = (name: string, expression: string): string => `label_replace(${expression}, "${PART}", "${name}", "", "")`

function matchers({ rollout, generation, process, match }: Selection): string {
  const own = { [promName(LABELS.rollout)]: rollout, [GENERATION]: generation, [PROCESS]: process }
  return Object.entries({ ...match, ...own })
    .filter(([, value]) => value !== undefined)
    .map(([label, value]) => `${label}=${quoted(String(value))}`)
    .join(", ")
}

/** JSON's escapes are among those of PromQL. */
const quoted = (text: string): string => JSON.stringify(text)

const duration = (seconds: number): string => `${Math.ceil(seconds)}s`

function namesIn({ labels }: (typeof SERIES)[string]): readonly string[] {
  return labels.map(({ name }) => name)
}
