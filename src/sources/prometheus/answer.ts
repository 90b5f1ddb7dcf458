import { unavailable } from "./unavailable.js"

/** One series of an answer. */
export interface Sample {
  readonly labels: ReadonlyMap<string, string>
  /** When it was evaluated, seconds since the epoch by the server's clock. */
  readonly at: number
  readonly value: number
}

export interface Answer {
  readonly samples: readonly Sample[]
  /** What the server says may be missing: a part of it that did not answer. */
  readonly warnings: readonly string[]
}

/** Most series of an answer. A stratum has at most some tens of thousands. */
const MAX_SERIES = 500_000

/** Read what the query API answers, as data from a hostile world. Throws `EVIDENCE_UNAVAILABLE` for what is no vector of finite numbers. */
export function parseAnswer(text: string): Answer {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (cause) {
    throw unavailable("answers with what is no JSON", cause)
  }
  const { status, error, data, warnings } = fieldsOf(body)
  if (status !== "success") {
    throw unavailable(`answers with ${typeof error === "string" ? `an error: ${error.slice(0, 200)}` : "no success"}`)
  }
  const { resultType, result } = fieldsOf(data)
  if (resultType !== "vector" || !Array.isArray(result)) throw unavailable("answers with what is no vector")
  if (result.length > MAX_SERIES) throw unavailable(`answers with more than ${MAX_SERIES} series`)
  const told = Array.isArray(warnings) ? warnings.filter((warning) => typeof warning === "string") : []
  return { samples: result.map(sampleOf), warnings: told }
}

function sampleOf(entry: unknown): Sample {
  const { metric, value } = fieldsOf(entry)
  if (!Array.isArray(value) || value.length !== 2) throw unavailable("answers with a series without a sample")
  const [at, text] = value as unknown[]
  const labels = new Map<string, string>()
  for (const [name, label] of Object.entries(fieldsOf(metric))) {
    if (typeof label !== "string") throw unavailable("answers with a label that is no text")
    labels.set(name, label)
  }
  const number = typeof text === "string" && text.trim() !== "" ? Number(text) : NaN
  if (typeof at !== "number" || !Number.isFinite(at) || !Number.isFinite(number)) {
    const shown = JSON.stringify(text) ?? "nothing"
    throw unavailable(
      `answers with ${shown.slice(0, 40)} for ${labels.get("__name__") ?? "a series"}, which is no number`,
    )
  }
  return { labels, at, value: number }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw unavailable("answers with what is no answer of a query")
  }
  return value as Record<string, unknown>
}
