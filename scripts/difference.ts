const CONTEXT = 2
const MOST = 12

/** Show where two texts begin to differ: lines that went with `-`, that came with `+`, and a little of what is around them. */
export function differenceOf(before: string, after: string): string {
  const [old, now] = [before.split("\n"), after.split("\n")]
  let start = 0
  while (start < old.length && old[start] === now[start]) start++
  let end = 0
  while (end < Math.min(old.length, now.length) - start && old.at(-1 - end) === now.at(-1 - end)) end++
  const part = (sign: string, lines: readonly string[]): string[] => {
    const shown = lines.slice(start, lines.length - end).map((line) => `${sign} ${line}`)
    return shown.length > MOST ? [...shown.slice(0, MOST), `${sign} … ${shown.length - MOST} more lines`] : shown
  }
  const around = old.slice(Math.max(0, start - CONTEXT), start).map((line) => `  ${line}`)
  return [...around, ...part("-", old), ...part("+", now)].join("\n")
}
