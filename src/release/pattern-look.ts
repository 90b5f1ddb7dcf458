import type { Direction, ScanReport } from "./ports.js"

/** One pattern as it is looked for. */
export interface Pattern {
  readonly id: string
  readonly category: string
  /** With the flag `g`. */
  readonly expression: RegExp
  readonly directions: readonly Direction[]
  readonly result: "flagged" | "blocked"
  /** What takes the place of what it matches; null: it masks nothing. */
  readonly redact: string | null
}

interface Span {
  readonly start: number
  readonly end: number
  readonly redact: string
}

/** Look for patterns in a text. One finding for each that matches: a text of a million matches gives no million findings. */
export function look(text: string, patterns: readonly Pattern[]): ScanReport {
  const found: Pattern[] = []
  const spans: Span[] = []
  for (const pattern of patterns) {
    const { expression, redact } = pattern
    if (redact === null) {
      if (text.search(expression) >= 0) found.push(pattern)
      continue
    }
    const before = spans.length
    // Not `matchAll`: it works on a copy of the expression, which may have to be compiled anew.
    expression.lastIndex = 0
    for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
      const { 0: matched, index } = match
      spans.push({ start: index, end: index + matched.length, redact })
      if (matched === "") expression.lastIndex += text.codePointAt(index)! > 0xffff ? 2 : 1
    }
    if (spans.length > before) found.push(pattern)
  }
  if (found.length === 0) return { result: "clean" }
  return {
    result: found.some(({ result }) => result === "blocked") ? "blocked" : "flagged",
    // Never what was matched: that is the secret.
    findings: found.map(({ id, category }) => ({ category, message: id })),
    ...(spans.length > 0 && { redacted: mask(text, spans) }),
  }
}

/** Mask all that any pattern matched in the text as it came: masked one after the other, one would hide half of what another matches. */
function mask(text: string, spans: readonly Span[]): string {
  const sorted = [...spans].sort((a, b) => a.start - b.start || b.end - a.end)
  let masked = ""
  let end = 0
  for (const span of sorted) {
    if (span.start >= end) masked += text.slice(end, span.start) + span.redact
    end = Math.max(end, span.end)
  }
  return masked + text.slice(end)
}
