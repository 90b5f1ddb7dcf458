import { describe, expect, it } from "vitest"
import { notifyPeople } from "../../src/notify/notify-people.js"

const channel = { name: "ops", send: () => Promise.resolve() }
const secret = "s".repeat(32)

describe("links of approval", () => {
  it.each([
    [{ channels: ["ops"] }, /approvals\.secret must have 32 characters at least/],
    [{ secret: [], channels: ["ops"] }, /approvals\.secret must have 32 characters at least/],
    [{ secret }, /approvals\.channels must be a list of names of channels/],
    [{ secret, channels: ["pos"] }, /approvals\.channels has "pos", which is no channel; there are ops/],
    [{ secret, channels: ["ops"], chanels: [] }, /approvals has no option chanels; did you mean channels\?/],
  ])("cannot be made by %o", (approvals, message) => {
    const dashboardUrl = "https://serin.example/"
    expect(() => notifyPeople({ channels: [channel], dashboardUrl, approvals: approvals as never })).toThrow(message)
  })
})
