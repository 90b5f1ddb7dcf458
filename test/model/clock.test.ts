import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { systemClock } from "../../src/model/clock.js"

describe("the machine's clock", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it.each([2 ** 31, Number.POSITIVE_INFINITY])("does not take a delay of %d ms for none", (delayMs) => {
    let ran = false
    const cancel = systemClock.schedule(() => (ran = true), delayMs)
    vi.advanceTimersByTime(86_400_000)
    expect(ran).toBe(false)
    cancel()
  })
})
