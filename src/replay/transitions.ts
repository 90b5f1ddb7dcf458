/** How often stable ended in the first and the canary in the second. */
export type Transitions<W extends string> = Readonly<Record<W, Readonly<Record<W, number>>>>

/** Name the cells of a square of counts, row by row. */
export function transitionsOf<W extends string>(words: readonly W[], counts: ArrayLike<number>): Transitions<W> {
  const row = (i: number) => Object.fromEntries(words.map((word, j) => [word, counts[i * words.length + j] ?? 0]))
  return Object.fromEntries(words.map((word, i) => [word, row(i)])) as Transitions<W>
}

/** Add all counts up, each as often as it weighs. */
export function weighed<W extends string>(
  transitions: Transitions<W>,
  weigh: (stable: W, canary: W) => number | boolean,
): number {
  const words = Object.keys(transitions) as W[]
  let sum = 0
  for (const stable of words) {
    for (const canary of words) sum += Number(weigh(stable, canary)) * transitions[stable][canary]
  }
  return sum
}
