import type { Io } from "./io.js"
import { renderLine, type Line } from "./printer.js"

/** A terminal that is drawn on until it is given back as it was found. */
export interface Screen {
  /** Draw what fits: one write for each frame, so that nothing flickers, and lines that are longer than before are wiped. */
  draw(frame: (size: Size) => readonly Line[]): void
  /** Give the terminal back, cursor and all; more than once does no more. */
  leave(): void
}

export interface Size {
  readonly columns: number
  readonly rows: number
}

/** The screen beside the one that people write on, and back; then what was on that is there again. */
const ENTER = "\u001b[?1049h\u001b[?25l"
const LEAVE = "\u001b[?25h\u001b[?1049l"
/** A terminal that knows this shows the frame when it is whole; others ignore it. */
const BEGIN = "\u001b[?2026h\u001b[H"
const END = "\u001b[J\u001b[?2026l"

/** Take the terminal. `onResize` is told when its size has changed. */
export function takeScreen({ stdout, env, columns, terminal }: Io, onResize: () => void): Screen {
  const colour = (env["NO_COLOR"] ?? "") === ""
  const size = (): Size => terminal?.size() ?? { columns, rows: 24 }
  const unheard = terminal?.onResize(onResize)
  let left = false
  stdout.write(ENTER)
  return {
    draw(frame) {
      if (left) return
      const { columns, rows } = size()
      const shown = { columns: Math.max(20, columns), rows: Math.max(4, rows) }
      const lines = frame(shown).slice(0, shown.rows)
      const texts = lines.map((line) => `${renderLine(line, { colour, columns: shown.columns })}\u001b[K`)
      // No line break after the last: it would scroll a full screen.
      stdout.write(`${BEGIN}${texts.join("\r\n")}${END}`)
    },
    leave() {
      if (left) return
      left = true
      unheard?.()
      stdout.write(LEAVE)
    },
  }
}
