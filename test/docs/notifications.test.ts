import { describe, expect, it } from "vitest"
import type { Notified } from "../../src/controller/notified.js"
import { DEFAULT_KINDS, MESSAGE_KINDS } from "../../src/notify/message.js"
import type { Message } from "../../src/notify/message.js"
import { codeWords, firstColumn, readPage, tableRows } from "./pages.js"

const page = readPage("reference/notifications.md")

// Records, so that a field that is added to a type and forgotten here does not compile.
const FIELDS: Record<keyof Message | keyof Notified, true> = {
  format: true,
  key: true,
  kind: true,
  rollout: true,
  generation: true,
  revision: true,
  at: true,
  stable: true,
  canary: true,
  before: true,
  after: true,
  event: true,
  by: true,
  title: true,
  why: true,
  criterion: true,
  holds: true,
  next: true,
  links: true,
  covers: true,
  unjudged: true,
  undelivered: true,
  channels: true,
  gaps: true,
}

describe("docs/reference/notifications.md", () => {
  it("has a row for every field of a message and of the record", () => {
    const rows = firstColumn(page)
    expect(Object.keys(FIELDS).filter((name) => !rows.includes(name))).toEqual([])
  })

  it("lists the kinds in their order, and which are told by default", () => {
    const kinds = tableRows(page)
      .filter(([, , told = ""]) => told === "yes" || told === "no")
      .map(([name = "", , told]) => [codeWords(name)[0], told])
    expect(kinds).toEqual(MESSAGE_KINDS.map((kind) => [kind, DEFAULT_KINDS.includes(kind) ? "yes" : "no"]))
  })
})
