/**
 * Make work that runs once at a time: whoever asks for it while it runs has it run once more after that. Nothing is begun after `signal` has
 * aborted. `work` must not reject.
 */
export function oneAtATime(work: () => Promise<void>, signal: AbortSignal): () => void {
  let running = false
  let again = false

  async function run(): Promise<void> {
    running = true
    while (again && !signal.aborted) {
      again = false
      await work()
    }
    running = false
  }

  return () => {
    again = true
    if (!running) void run()
  }
}
