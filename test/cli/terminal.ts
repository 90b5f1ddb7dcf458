/** A terminal as a person sees it: what is written is obeyed, and what stands on the screen can be read. */
export interface FakeTerminal {
  write(text: string): void
  /** The lines of the screen in use, without trailing spaces. */
  lines(): readonly string[]
  text(): string
  readonly columns: number
  readonly rows: number
  resize(columns: number, rows: number): void
  onResize(listener: () => void): () => void
  /** Whether the screen beside the usual one is in use, and whether there is a cursor. */
  readonly alternate: boolean
  readonly cursor: boolean
  /** Writes so far. */
  readonly writes: number
  /** Sequences that were not understood: a terminal would show them, or do who knows what. */
  readonly unknown: readonly string[]
}

interface Grid {
  cells: string[][]
  row: number
  column: number
}

// oxlint-disable-next-line no-control-regex
const TOKEN = /\u001b\[(\??)([\d;]*)([A-Za-z])|\r|\n|[^\u001b\r\n]/gu

export function fakeTerminal(columns: number, rows: number): FakeTerminal {
  const blank = (): string[][] => Array.from({ length: rows }, () => Array<string>(columns).fill(" "))
  const usual: Grid = { cells: blank(), row: 0, column: 0 }
  const beside: Grid = { cells: blank(), row: 0, column: 0 }
  let grid = usual
  let cursor = true
  let writes = 0
  const unknown: string[] = []
  const listeners = new Set<() => void>()

  function put(character: string): void {
    // As a terminal that wraps: what is too long stands on the next line, and pushes others down.
    if (grid.column === columns) lineFeed(true)
    grid.cells[grid.row]![grid.column] = character
    grid.column += 1
  }

  function lineFeed(home: boolean): void {
    if (home) grid.column = 0
    if (grid.row < rows - 1) grid.row += 1
    else {
      grid.cells.shift()
      grid.cells.push(Array<string>(columns).fill(" "))
    }
  }

  function control(mark: string, numbers: string, letter: string): boolean {
    const set = letter === "h"
    switch (`${mark}${letter === "h" || letter === "l" ? numbers : letter}`) {
      case "?1049":
        grid = set ? beside : usual
        if (set) Object.assign(beside, { cells: blank(), row: 0, column: 0 })
        return true
      case "?25":
        cursor = set
        return true
      case "?2026":
      case "m":
        return true
      case "H":
        Object.assign(grid, { row: 0, column: 0 })
        return numbers === ""
      case "K":
        grid.cells[grid.row]!.fill(" ", grid.column)
        return numbers === ""
      case "J":
        grid.cells[grid.row]!.fill(" ", grid.column)
        for (let row = grid.row + 1; row < rows; row++) grid.cells[row]!.fill(" ")
        return numbers === ""
      default:
        return false
    }
  }

  const lines = (): string[] => grid.cells.map((row) => row.join("").trimEnd())
  return {
    write(text) {
      writes += 1
      for (const [token, mark = "", numbers = "", letter] of text.matchAll(TOKEN)) {
        if (letter !== undefined) {
          if (!control(mark, numbers, letter)) unknown.push(token)
        } else if (token === "\r") grid.column = 0
        // The driver of a terminal begins a new line at its beginning.
        else if (token === "\n") lineFeed(true)
        else put(token)
      }
    },
    lines,
    text: () => lines().join("\n"),
    get columns() {
      return columns
    },
    get rows() {
      return rows
    },
    resize(toColumns, toRows) {
      columns = toColumns
      rows = toRows
      for (const one of [usual, beside]) Object.assign(one, { cells: blank(), row: 0, column: 0 })
      for (const listener of listeners) listener()
    },
    onResize(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    get alternate() {
      return grid === beside
    },
    get cursor() {
      return cursor
    },
    get writes() {
      return writes
    },
    unknown,
  }
}
