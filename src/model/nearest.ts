import { closest, distance } from "fastest-levenshtein"

/** Longer is no slip of the pen, and comparing it takes time. */
const MAX_WORD = 64

/** Find the known word that a slip of the pen, another case, dashes or underscores would turn into this one. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word === "" || word.length > MAX_WORD || known.length === 0) return undefined
  const folded = fold(word)
  const candidates = known.map(fold)
  const candidate = closest(folded, candidates)
  const slips = folded.length <= 4 ? 1 : Math.max(2, Math.floor(folded.length / 6))
  return distance(folded, candidate) <= slips ? known[candidates.indexOf(candidate)] : undefined
}

const fold = (word: string): string => word.replaceAll(/[-_]/g, "").toLowerCase()
