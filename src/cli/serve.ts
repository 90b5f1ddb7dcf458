import { z } from "zod"
import { answers } from "./answer.js"
import { defineCommand, JSON_FLAG, PLACE_FLAGS } from "./command.js"
import { EXIT } from "./exit-code.js"
import { placeOf } from "./place.js"
import { SERVE_FLAGS, startServing } from "./serving.js"

export const serveCommand = defineCommand({
  notes: [
    "The dashboard is at /, the store at /v1. The dashboard only reads, but for whoever is in the operator file: a name and a token a line.",
    "The token file has a token a line: whoever sends one of them may read and publish. Without it, this machine alone is served.",
    "It speaks no TLS: where a token crosses a network, put a proxy before it that does.",
  ],
  example: "serin serve --host 0.0.0.0 --token-file /run/secrets/serin",
  flags: { ...PLACE_FLAGS, ...SERVE_FLAGS, ...JSON_FLAG },
  answers: answers(
    "serin/serve/1",
    /** `token`: whether one is needed. */
    z.object({ url: z.string(), dashboard: z.string(), port: z.int(), state: z.string(), token: z.boolean() }),
  ),
  async run({ values, io, out }) {
    const serving = await startServing("serve", { values, io, out }, () => placeOf(values, io))
    if (values.json) out.json(serving.document)
    else for (const line of serving.lines) out.line(...line)
    await ended(io.signal)
    await serving.close()
    return EXIT.ok
  },
})

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true })
    if (signal.aborted) resolve()
  })
