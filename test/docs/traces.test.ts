import { context } from "@opentelemetry/api"
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks"
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { afterEach, describe, expect, it } from "vitest"
import type { EventRecord } from "serin"
import { harness, idOn, stateWith } from "../guard/harness.js"
import { codeWords, readPage, tableRows } from "./pages.js"

describe("docs/reference/metrics.md", () => {
  afterEach(() => context.disable())

  it("names every event, and every attribute of spans and events", () => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    const exporter = new InMemorySpanExporter()
    const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    const events: EventRecord[] = []
    const { guard, state } = harness(
      {
        canary() {
          throw new Error("broken")
        },
        stable: ({ action }) => ({ outcome: action === "pay" ? "escalate" : "deny", rule: "r" }),
      },
      stateWith(),
      { tracerProvider, logger: { emit: (record) => void events.push(record) } },
    )
    tracerProvider.getTracer("host").startActiveSpan("tool", () => {
      guard.session(idOn(guard, "canary")).evaluate({ action: "a" }, { callId: "1" })
      guard.session("s").scan("text", { direction: "input" })
      const escalate = (): boolean => {
        throw new Error("nobody is there")
      }
      const session = idOn(guard, "stable")
      void guard.toolPort("mine", { session, escalate }).decide({ tool: "pay", input: {}, callId: "2" }, {})
    })
    state.set(stateWith({ revision: 9 }))
    const names = [
      ...events.flatMap(({ eventName, attributes }) => [eventName, ...Object.keys(attributes)]),
      ...exporter.getFinishedSpans().flatMap(({ attributes }) => Object.keys(attributes)),
      ...exporter.getFinishedSpans().flatMap(({ events: notes }) => notes.map(({ name }) => name)),
    ]
    const told = [
      "feature_flag.evaluation",
      "serin.rollout.transition",
      "serin.escalation.asked",
      "serin.escalation.outcome",
      "serin.scan.length",
      "error.type",
      "serin.rule",
    ]
    expect(names).toEqual(expect.arrayContaining(told))
    const documented = new Set(tableRows(readPage("reference/metrics.md")).flatMap((cells) => cells.flatMap(codeWords)))
    expect(names.filter((name) => !documented.has(name))).toEqual([])
  })
})
