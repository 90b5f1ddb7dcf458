/** A fenced block of a Markdown file. */
export interface Block {
  readonly path: string
  /** Line of the file, from 1, that holds the first line of `code`. */
  readonly line: number
  readonly language: string
  /** What follows the language on the fence: `ts no-check` has `no-check`. */
  readonly note: string
  readonly code: string
}

/** A Markdown file: its path from the project's root with `/`, and its text. */
export interface Page {
  readonly path: string
  readonly text: string
}

const FENCE = /^(?<indent> *)(?<fence>`{3,}|~{3,})\s*(?<language>[\w+-]*)\s*(?<note>.*)$/

/** Split a page into its fenced blocks and the prose between them; prose keeps its line numbers. */
export function parsePage({ path, text }: Page): { blocks: Block[]; prose: string } {
  const blocks: Block[] = []
  const prose: string[] = []
  let open: { line: number; fence: string; indent: number; language: string; note: string; code: string[] } | null =
    null
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const match = FENCE.exec(line)?.groups
    if (open !== null) {
      prose.push("")
      if (match?.["fence"]?.startsWith(open.fence) && match["language"] === "" && match["note"] === "") {
        const { indent, code, fence: _, ...block } = open
        blocks.push({ path, ...block, code: code.map((l) => l.slice(Math.min(indent, l.search(/\S|$/)))).join("\n") })
        open = null
      } else open.code.push(line)
    } else if (match) {
      prose.push("")
      const { indent = "", fence = "", language = "", note = "" } = match
      open = { line: index + 2, fence, indent: indent.length, language, note: note.trim(), code: [] }
    } else prose.push(line)
  }
  if (open !== null) throw new Error(`${path}:${open.line - 1}: the fence is never closed`)
  return { blocks, prose: prose.join("\n") }
}

/** List the links of a page that point into the repository: `[text](target)`, `![alt](target)` and `[label]: target`; `heading` is what follows a `#`. */
export function relativeLinks(page: Page): { line: number; target: string; heading?: string }[] {
  const links: { line: number; target: string; heading?: string }[] = []
  for (const [index, text] of parsePage(page).prose.split("\n").entries()) {
    const line = text.replace(/`[^`]*`/g, "")
    for (const match of line.matchAll(
      /\]\(\s*<?([^)\s>]+)>?[^)]*\)|^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)|\b(?:src|href)="([^"]+)"/g,
    )) {
      const whole = match[1] ?? match[2] ?? match[3] ?? ""
      const [target = "", heading] = whole.replace(/\?.*$/, "").split("#")
      if (whole === "" || /^([a-z][a-z0-9+.-]*:|\/\/)/i.test(whole)) continue
      links.push({ line: index + 1, target, ...(heading !== undefined && { heading }) })
    }
  }
  return links
}

/** List what the headings of a page are called in links, as code hosts call them. */
export function headingsOf(page: Page): string[] {
  const seen = new Map<string, number>()
  return [...parsePage(page).prose.matchAll(/^#{1,6} +(.+?) *$/gm)].map(([, text = ""]) => {
    const plain = text.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase()
    const name = plain.replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-")
    const before = seen.get(name) ?? 0
    seen.set(name, before + 1)
    return before === 0 ? name : `${name}-${before}`
  })
}

/** List the package scripts that a page tells its reader to run, in prose and in blocks. */
export function namedScripts({ text }: Page): { line: number; script: string }[] {
  return text.split("\n").flatMap((line, index) =>
    [...line.matchAll(/\bnpm (?:run(?:-script)?\s+(?:(?:-s|--silent)\s+)?([\w:.-]*\w)|(test|start)\b)/g)].map(
      (match) => ({
        line: index + 1,
        script: match[1] ?? match[2] ?? "",
      }),
    ),
  )
}
