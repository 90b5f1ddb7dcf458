/** No line and no event of ours comes near. Characters. */
const MAX_PENDING = 65_536

/**
 * Read server-sent events as they come, in whatever pieces: https://html.spec.whatwg.org/multipage/server-sent-events.html. The answer takes a piece
 * and gives the names of the events that it completes; null: this is no event stream that can be read.
 */
export function eventReader(): (piece: Buffer) => readonly string[] | null {
  const decoder = new TextDecoder()
  let rest = ""
  let name = ""
  let hasData = false

  return (piece) => {
    rest += decoder.decode(piece, { stream: true })
    const events: string[] = []
    // A "\r" at the very end may be half of a line's end.
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ""
    if (rest.length > MAX_PENDING) return null
    for (const line of lines) {
      if (line === "") {
        if (hasData) events.push(name === "" ? "message" : name)
        name = ""
        hasData = false
      } else if (line.startsWith("event:")) name = line.slice(6).trim()
      else if (line.startsWith("data")) hasData = true
    }
    return events
  }
}
