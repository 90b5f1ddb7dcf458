/**
 * Make work that runs once at a time: whoever asks for it while it runs has it run once more after that. The answer resolves when all is done that
 * was asked for. Nothing is begun after `signal` has aborted. `work` must not reject.
 */
export function oneAtATime(work: () => Promise<void>, signal?: AbortSignal): () => Promise<void> {
  let running: Promise<void> | null = null
  let again = false
  const isOver = (): boolean => signal?.aborted === true

  async function run(): Promise<void> {
    while (again && !isOver()) {
      again = false
      await work()
    }
    // Here and not when the promise has settled: who asks in between would be forgotten.
    running = null
  }

  return () => {
    if (isOver()) return running ?? Promise.resolve()
    again = true
    running ??= run()
    return running
  }
}
