import { createReadStream } from "node:fs"
import type { ReadStream } from "node:fs"
import { pipeline } from "node:stream"
import { createGunzip } from "node:zlib"

/** What one line may hold, characters: whatever a file is, no more of it is in memory than this. */
export const MAX_LINE = 2 ** 22

const CHUNK_BYTES = 2 ** 18

/** Lines that came together; `ended` is false for a last one without its end. Of one that is too long the beginning is given, longer than `MAX_LINE`. */
export interface Lines {
  readonly lines: readonly string[]
  readonly ended: boolean
}

/** Read the lines of a file, `.gz` or not, as they come. Fails with what reading, unpacking and, with `fatal`, decoding fail with. */
export async function* linesIn(
  path: string,
  options: {
    /** Fail for what is not UTF-8. */
    readonly fatal: boolean
    readonly onOpen?: ((source: ReadStream) => void) | undefined
    /** Bytes of the lines, unpacked, before they are given. */
    readonly onBytes?: ((bytes: Uint8Array) => void) | undefined
  },
): AsyncGenerator<Lines, void, void> {
  const source = createReadStream(path, { highWaterMark: CHUNK_BYTES })
  options.onOpen?.(source)
  // Iterating it fails when either does, and closes both.
  const bytes = path.endsWith(".gz") ? pipeline(source, createGunzip(), () => {}) : source
  const decoder = new TextDecoder("utf-8", { fatal: options.fatal })
  let rest = ""
  let isCut = false
  for await (const chunk of bytes as AsyncIterable<Uint8Array>) {
    options.onBytes?.(chunk)
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n")
    rest = lines.pop()!
    // The beginning of a line that is too long was given; what is left of it is nobody's.
    if (isCut && lines.length > 0) {
      lines.shift()
      isCut = false
    }
    if (isCut) rest = ""
    else if (rest.length > MAX_LINE) {
      lines.push(rest)
      rest = ""
      isCut = true
    }
    yield { lines, ended: true }
  }
  rest += decoder.decode()
  if (rest !== "") yield { lines: [rest], ended: false }
}
