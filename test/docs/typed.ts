import { parsePage, type Page } from "./markdown.js"

/** A command line that a page tells its reader to type. */
export interface Typed {
  /** `page:line`, the first of those that have it. */
  readonly where: string
  readonly line: string
  readonly words: readonly string[]
  /** Where its output goes, with `> file`. */
  readonly into: string | null
  /** A word or two in the middle of a sentence: a name, and nothing that could be typed as it stands. */
  readonly isName: boolean
}

const PROGRAMS = ["serin", "npm", "npx"]

/** Find every command line of `serin`, `npm` and `npx` on these pages, each once: in blocks of a shell or of a console, and in code in a sentence. */
export function typedOn(pages: readonly Page[]): Typed[] {
  const found = new Map<string, Typed>()
  for (const { where, line, inline } of pages.flatMap(linesOf)) {
    for (const part of line.split(" && ")) {
      const { words, into } = wordsOf(part)
      const [program = "", ...rest] = words
      if (!PROGRAMS.includes(program) || rest.length === 0) continue
      const own = program === "npx" && rest[0] === "serin" ? rest : words
      const name = own.join(" ")
      const isName = inline && own[0] === "serin" && own.slice(1).every((word) => /^[a-z]+$/.test(word))
      if (!found.has(name)) found.set(name, { where, line: part.trim(), words: own, into, isName })
    }
  }
  return [...found.values()]
}

interface Line {
  readonly where: string
  readonly line: string
  readonly inline: boolean
}

function linesOf(page: Page): Line[] {
  const { blocks, prose } = parsePage(page)
  const inBlocks = blocks.flatMap(({ code, language, line: first }) =>
    code.split("\n").flatMap((text, i): Line[] => {
      const line = language === "sh" ? text : /^\$ (.*)/.exec(text)?.[1]
      return line === undefined ? [] : [{ where: `${page.path}:${first + i}`, line, inline: false }]
    }),
  )
  const inSentences = prose.split("\n").flatMap((text, i) =>
    [...text.matchAll(/`([^`]+)`/g)].map(([, line = ""]): Line => {
      return { where: `${page.path}:${i + 1}`, line, inline: true }
    }),
  )
  return [...inBlocks, ...inSentences]
}

/** Split as a shell does, as far as the pages go: quotes, a comment at the end, `> file`. */
function wordsOf(line: string): { readonly words: readonly string[]; readonly into: string | null } {
  const words: string[] = []
  for (const [, quoted, single, bare = ""] of line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)) {
    if (quoted === undefined && single === undefined && bare.startsWith("#")) break
    words.push(quoted ?? single ?? bare)
  }
  const at = words.indexOf(">")
  return at < 0 ? { words, into: null } : { words: words.slice(0, at), into: words[at + 1] ?? null }
}
