import type {
  AnyProviderEvent,
  EventContext,
  EventDetails,
  EventHandler,
  ProviderEventEmitter,
} from "@openfeature/server-sdk"

/** Make the emitter that a provider brings. The SDK has one as a class; to import it would load the SDK. */
export function providerEvents(): ProviderEventEmitter<AnyProviderEvent> {
  const handlers = new Map<AnyProviderEvent, readonly EventHandler[]>()
  const of = (event: AnyProviderEvent): readonly EventHandler[] => handlers.get(event) ?? []

  const emitter: ProviderEventEmitter<AnyProviderEvent> = {
    emit(event, context) {
      for (const handler of of(event)) void run(handler, context)
    },
    addHandler: (event, handler) => void handlers.set(event, [...of(event), handler]),
    removeHandler(event, handler) {
      const at = of(event).indexOf(handler)
      handlers.set(
        event,
        of(event).filter((_, i) => i !== at),
      )
    },
    removeAllHandlers: (event) => void (event === undefined ? handlers.clear() : handlers.delete(event)),
    getHandlers: (event) => [...of(event)],
    // Nothing is logged.
    setLogger: () => emitter,
  }
  return emitter
}

/** What a handler throws is its own fault. */
async function run(handler: EventHandler, context: EventContext | undefined): Promise<void> {
  try {
    await handler({ ...context, providerName: "serin" } as EventDetails)
  } catch {
    return
  }
}
