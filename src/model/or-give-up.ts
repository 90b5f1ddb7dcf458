/** Wait for what does not know of signals: rejects with the signal's reason when it aborts. What comes later is dropped. */
export function orGiveUp<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason)
    if (signal.aborted) giveUp()
    signal.addEventListener("abort", giveUp, { once: true })
    const settled = (): void => signal.removeEventListener("abort", giveUp)
    work.finally(settled).then(resolve, reject)
  })
}
