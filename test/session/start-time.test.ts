import { describe, expect, it } from "vitest"
import { startTimeOf } from "../../src/session/start-time.js"

const now = Date.UTC(2026, 0, 1)

describe("start time read from an id", () => {
  it("reads the example of RFC 9562 (appendix A.6)", () => {
    expect(startTimeOf("017F22E2-79B0-7CC3-98C4-DC0C0C07398F", now)).toBe(Date.UTC(2022, 1, 22, 19, 22, 22))
  })

  it("reads the example of the ULID specification", () => {
    expect(startTimeOf("01ARZ3NDEKTSV4RRFFQ69G5FAV", now)).toBe(1469922850259)
  })

  it("reads nothing from other ids", () => {
    expect(startTimeOf("c232ab00-9414-41ec-b3c8-9f6bdeced846", now)).toBeUndefined() // UUIDv4
    expect(startTimeOf("session-1", now)).toBeUndefined()
    expect(startTimeOf("81ARZ3NDEKTSV4RRFFQ69G5FAV", now)).toBeUndefined() // past the largest ULID
  })

  it("does not believe a time from the future or from before such ids existed", () => {
    expect(startTimeOf("017F22E2-79B0-7CC3-98C4-DC0C0C07398F", Date.UTC(2022, 1, 22))).toBeUndefined()
    expect(startTimeOf("00000000-0001-7000-8000-000000000000", now)).toBeUndefined()
  })
})
