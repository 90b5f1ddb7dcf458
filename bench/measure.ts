/** One comparison: how long ours takes as a multiple of theirs, both measured in turns in this run. */
export interface Row {
  readonly name: string
  /** Median over rounds of (our time / their time). */
  readonly ratio: number
  readonly low: number
  readonly high: number
  /** Medians, ns per operation. */
  readonly oursNs: number
  readonly theirsNs: number
}

/** Runs `n` operations. */
export type Batch = (n: number) => void

const ROUND_MS = 15
/** Turns leave more behind, and a round is to have its share of collections. */
const TURNS_MS = 60

/** Time two batches in alternating rounds, so that whatever else the machine does hits both. */
export function compare(name: string, ours: Batch, theirs: Batch, rounds: number): Row {
  const [ourRound, theirRound] = [roundOf(ours), roundOf(theirs)]
  const timed: Timed[] = []
  for (let i = 0; i < rounds; i++) {
    const first = i % 2 === 0
    let a = first ? ourRound() : 0
    const b = theirRound()
    if (!first) a = ourRound()
    timed.push([a, b])
  }
  return rowOf(name, timed)
}

/** Warm a batch up; the answer times one round of it, ns per operation. */
export function roundOf(batch: Batch): () => number {
  const n = calibrate(batch)
  return () => time(batch, n)
}

/** The same for work that leaves more behind: `n` operations are timed, then `rest` ends what they left, untimed. */
export async function compareBursts(
  name: string,
  ours: Batch,
  theirs: Batch,
  rest: () => Promise<void>,
  { n, rounds }: { readonly n: number; readonly rounds: number },
): Promise<Row> {
  const timed: Timed[] = []
  // The first rounds warm both up.
  for (let i = -rounds; i < rounds; i++) {
    const a = time(ours, n)
    await rest()
    const b = time(theirs, n)
    await rest()
    if (i >= 0) timed.push([a, b])
  }
  return rowOf(name, timed)
}

/** Work that answers later. */
export type Turn = () => Promise<unknown>

/** The same for turns, one after another: as many in each round as fill it. */
export async function compareTurns(name: string, ours: Turn, theirs: Turn, rounds: number): Promise<Row> {
  const [ourRound, theirRound] = [await roundOfTurns(ours), await roundOfTurns(theirs)]
  const timed: Timed[] = []
  for (let i = 0; i < rounds; i++) {
    const first = i % 2 === 0
    let a = first ? await ourRound() : 0
    const b = await theirRound()
    if (!first) a = await ourRound()
    timed.push([a, b])
  }
  return rowOf(name, timed)
}

/** The same as {@link roundOf} for turns. */
export async function roundOfTurns(turn: Turn): Promise<() => Promise<number>> {
  const n = await calibrateTurns(turn)
  return () => timeTurns(turn, n)
}

async function timeTurns(turn: Turn, n: number): Promise<number> {
  const before = process.cpuUsage()
  for (let i = 0; i < n; i++) await turn()
  return cpuNsSince(before) / n
}

async function calibrateTurns(turn: Turn): Promise<number> {
  let n = 32
  for (let i = 0; i < 10; i++) await timeTurns(turn, n)
  while ((await timeTurns(turn, n)) * n < TURNS_MS * 1e6) n *= 2
  return n
}

/** Ours and theirs in one round, ns per operation. */
export type Timed = readonly [ours: number, theirs: number]

/** What many rounds come to. */
export function rowOf(name: string, timed: readonly Timed[]): Row {
  const ratios = timed.map(([ours, theirs]) => ours / theirs)
  const oursTimes = timed.map(([ours]) => ours)
  const theirsTimes = timed.map(([, theirs]) => theirs)
  return {
    name,
    ratio: quantile(ratios, 0.5),
    low: quantile(ratios, 0.1),
    high: quantile(ratios, 0.9),
    oursNs: quantile(oursTimes, 0.5),
    theirsNs: quantile(theirsTimes, 0.5),
  }
}

/** Collect garbage; needs --expose-gc. */
export function collect(): void {
  const { gc } = globalThis as { gc?: () => void }
  if (gc === undefined) throw new Error("run node with --expose-gc")
  gc()
}

/** Heap bytes that one operation leaves behind, median over rounds; needs --expose-gc. */
export function garbage(batch: Batch, rounds = 21): number {
  const n = 2000
  const samples: number[] = []
  for (let i = 0; i < rounds; i++) {
    collect()
    const before = process.memoryUsage().heapUsed
    batch(n)
    samples.push((process.memoryUsage().heapUsed - before) / n)
  }
  return quantile(samples, 0.5)
}

/** The same as {@link garbage} for turns; `n` are few, for a collection among them would hide what they left. */
export async function garbageOfTurns(turn: Turn, n = 500, rounds = 21): Promise<number> {
  const samples: number[] = []
  for (let i = 0; i < rounds; i++) {
    collect()
    const before = process.memoryUsage().heapUsed
    for (let k = 0; k < n; k++) await turn()
    samples.push((process.memoryUsage().heapUsed - before) / n)
  }
  return quantile(samples, 0.5)
}

/** Mean CPU time of one operation, ns. */
function time(batch: Batch, n: number): number {
  const before = process.cpuUsage()
  batch(n)
  return cpuNsSince(before) / n
}

/** CPU time of the whole process, collections included; what else the machine does is not in it. */
export function cpuNsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) * 1000
}

/** Warm a batch up and find how many operations fill a round. */
function calibrate(batch: Batch): number {
  let n = 1000
  for (let i = 0; i < 20; i++) batch(n)
  while (time(batch, n) * n < ROUND_MS * 1e6) n *= 2
  return n
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!
}
