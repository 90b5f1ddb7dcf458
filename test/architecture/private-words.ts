/** What a published repository must not tell: who worked on it and how, and the machine it was made on. */
export interface PrivateWord {
  readonly what: string
  readonly pattern: RegExp
}

const FIXED: readonly PrivateWord[] = [
  { what: "authorship", pattern: /\b(co-authored|signed-off|assisted)-by\b/i },
  {
    what: "authorship",
    pattern:
      /\b(written|authored|generated|made|coded) (by|with) (an? |the )?(ai|llm|agent|assistant|chatbot|copilot|codex|claude|gpt)\b/i,
  },
  { what: "authorship", pattern: /\b(agents?|workers?|assistants?) (wrote|authored|coded|committed)\b/i },
  { what: "way of working", pattern: /\bhelpers?\b/i },
  { what: "way of working", pattern: /\b(sub-?task|(the|this|my) brief)\b/i },
  { what: "way of working", pattern: /\bissue (no\. ?|number )?#?\d+/i },
  { what: "path of a machine", pattern: /\/(root|work|Users|home\/[a-z][\w.-]*)\/[\w.-]/ },
  { what: "path of a machine", pattern: /\b[A-Z]:\\Users\\/ },
  { what: "registry", pattern: /\b(registry|npm)\.[\w.-]*(npmjs|yarnpkg|pkg|npmmirror)\.[a-z]{2,}/i },
]

/** Add to the fixed list what is peculiar to this machine. */
export function privateWords(machine: {
  readonly root: string
  readonly home: string
  readonly registry: string
}): PrivateWord[] {
  const literal = (what: string, text: string): PrivateWord[] =>
    text.length < 6 ? [] : [{ what, pattern: new RegExp(text.replace(/[^\w]/g, "\\$&")) }]
  const host = /^https?:\/\/(?:[^@/]*@)?([^/:]+)/.exec(machine.registry)?.[1] ?? ""
  return [
    ...FIXED,
    ...literal("path of this machine", machine.root),
    ...literal("path of this machine", machine.home),
    ...literal("registry", host === "localhost" ? "" : host),
  ]
}

/** Find private words in a file: `path:line: what: the match`. */
export function privateWordViolations(path: string, text: string, words: readonly PrivateWord[]): string[] {
  const problems: string[] = []
  for (const [index, line] of text.split("\n").entries()) {
    for (const { what, pattern } of words) {
      const match = pattern.exec(line)
      if (match !== null) problems.push(`${path}:${index + 1}: ${what}: "${match[0]}"`)
    }
  }
  return problems
}
