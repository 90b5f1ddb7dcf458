/** What is said to etcd and what it answers, as its JSON gateway writes it: bytes in base64, whole numbers as text, zeros left out. */

export interface KeyValue {
  readonly key: string
  readonly text: string
  /** Times that the key was written since it was made: 1 for a new one. */
  readonly version: number
}

/** All keys from `key` on and below `end`; without `end` that key alone. */
export interface KeyRange {
  readonly key: string
  readonly end?: string | undefined
}

const encode = (text: string): string => Buffer.from(text).toString("base64")

export const range = ({ key, end }: KeyRange) => ({
  key: encode(key),
  ...(end === undefined ? {} : { range_end: encode(end) }),
})

export const put = (key: string, text: string) => ({ request_put: { key: encode(key), value: encode(text) } })

export const deleteRange = (keys: KeyRange) => ({ request_delete_range: range(keys) })

/** Do `success` if the key has this version (0: it is not there), else answer what it has. */
export const ifVersion = (key: string, version: number, success: readonly object[]) => ({
  compare: [{ key: encode(key), target: "VERSION", result: "EQUAL", version: String(version) }],
  success,
  failure: [{ request_range: range({ key }) }],
})

export const watchKey = (key: string) => ({ create_request: range({ key }) })

/** The fields of a message; of what is no message, none. */
export function fieldsOf(message: unknown): Readonly<Record<string, unknown>> {
  return typeof message === "object" && message !== null ? (message as Readonly<Record<string, unknown>>) : {}
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
const textOf = (value: unknown): string => Buffer.from(typeof value === "string" ? value : "", "base64").toString()

/** Keys that an answer brings, in its order. */
export function keysOf(answer: unknown): readonly KeyValue[] {
  return listOf(fieldsOf(answer)["kvs"]).map((kv) => {
    const { key, value, version } = fieldsOf(kv)
    return { key: textOf(key), text: textOf(value), version: Number(version) }
  })
}

/** What the newest event of a message says that a key was written to; undefined: it has none, or the key was deleted. */
export function writtenIn(result: unknown): KeyValue | undefined {
  const { type, kv } = fieldsOf(listOf(fieldsOf(result)["events"]).at(-1))
  // Zero, which is left out, is a write.
  if (type !== undefined && type !== "PUT") return undefined
  const [written] = keysOf({ kvs: [kv] })
  return written !== undefined && Number.isSafeInteger(written.version) && written.version > 0 ? written : undefined
}

/** Whether the comparison held; if not, what is there. */
export function outcomeOf(answer: unknown): { readonly succeeded: boolean; readonly found: readonly KeyValue[] } {
  const { succeeded, responses } = fieldsOf(answer)
  const [first] = listOf(responses)
  return { succeeded: succeeded === true, found: keysOf(fieldsOf(first)["response_range"]) }
}
