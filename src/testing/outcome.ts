import type { Versioned } from "../rollout/store.js"

/** All revisions of a history, in its order. */
export async function drain(history: AsyncIterable<Versioned>): Promise<Versioned[]> {
  const all: Versioned[] = []
  for await (const revision of history) all.push(revision)
  return all
}

/** The code of the error that a promise rejects with; undefined when it does not, or the error has none. */
export async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return codeIn(await failureOf(promise))
}

/** The code of an error; undefined for one that has none. */
export const codeIn = (error: unknown): unknown =>
  typeof error === "object" && error !== null && "code" in error ? error.code : undefined

/** The name of the error that a promise rejects with; undefined when it does not. */
export async function nameOf(promise: Promise<unknown>): Promise<unknown> {
  const error = await failureOf(promise)
  return error instanceof Error ? error.name : undefined
}

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )
