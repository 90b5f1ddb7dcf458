/** One line of a diff: kept, taken out or put in. */
interface DiffLine {
  readonly sign: " " | "-" | "+"
  readonly text: string
}

/** Lines kept around a change. */
const CONTEXT = 2
/** Above this the table of all pairs of lines would be too large. */
const MAX_LINES = 2000

/** Compare two texts line by line, as `diff -u` does; at most `limit` lines. */
export function diffLines(before: string, after: string, limit: number): readonly string[] {
  const a = before.trimEnd().split("\n")
  const b = after.trimEnd().split("\n")
  if (a.length > MAX_LINES || b.length > MAX_LINES) return [`(${a.length} and ${b.length} lines, too many to compare)`]
  const lines = align(a, b)
  const near = (at: number): boolean => lines.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).some(isChange)
  const shown = lines.flatMap((line, i) => {
    if (near(i)) return [`${line.sign} ${line.text}`]
    return i > 0 && near(i - 1) && lines.slice(i).some(isChange) ? ["  …"] : []
  })
  if (shown.length === 0) return ["(the same)"]
  const left = shown.length - limit
  return left > 0 ? [...shown.slice(0, limit), `  … and ${left} more lines`] : shown
}

const isChange = ({ sign }: DiffLine): boolean => sign !== " "

/** Longest common subsequence, from the end: `table[i][j]` is its length for the lines from i and from j on. */
function align(a: readonly string[], b: readonly string[]): readonly DiffLine[] {
  const table = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1))
  const at = (i: number, j: number): number => table[i]?.[j] ?? 0
  for (let i = a.length - 1; i >= 0; i--) {
    const row = table[i]
    if (row === undefined) continue
    for (let j = b.length - 1; j >= 0; j--) {
      row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
    }
  }
  const lines: DiffLine[] = []
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ sign: " ", text: a[i++] ?? "" })
      j++
    } else if (i < a.length && (j >= b.length || at(i + 1, j) >= at(i, j + 1))) {
      lines.push({ sign: "-", text: a[i++] ?? "" })
    } else {
      lines.push({ sign: "+", text: b[j++] ?? "" })
    }
  }
  return lines
}
