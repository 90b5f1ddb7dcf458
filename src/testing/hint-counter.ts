/** Longest wait for a hint, ms. */
const HINT_DEADLINE_MS = 2000

/** Counts hints of a store, and waits for the next one. */
export interface HintCounter {
  hint(): void
  count(): number
  /** True as soon as there were more than `before`; false when two seconds are over. */
  beyond(before: number): Promise<boolean>
}

export function hintCounter(): HintCounter {
  let hints = 0
  let wake = (): void => {}
  return {
    hint() {
      hints++
      wake()
    },
    count: () => hints,
    async beyond(before) {
      if (hints > before) return true
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, HINT_DEADLINE_MS)
        wake = () => {
          if (hints <= before) return
          clearTimeout(timer)
          resolve()
        }
      })
      return hints > before
    },
  }
}
