import { InMemoryProvider, OpenFeature, ProviderEvents } from "@openfeature/server-sdk"
import type { Client, JsonValue, ResolutionDetails } from "@openfeature/server-sdk"

/** What happens to a question that a provider is asked. */
export type Weather = "fine" | "fails" | "throws" | "hangs" | "nonsense" | "stale"

/** A provider with flags that change, and with days on which it does not do as it should. Versions grow with each change of a flag; the first is 0. */
class Flags extends InMemoryProvider {
  weather: Weather = "fine"
  asked = 0
  private readonly flags = new Map<string, { value: unknown; version: number }>()
  private readonly held: (() => void)[] = []

  set(key: string, value: unknown): void {
    this.put(key, value)
    this.events.emit(ProviderEvents.ConfigurationChanged, { flagsChanged: [key] })
  }

  /** As {@link set}, and nobody is told. */
  put(key: string, value: unknown): void {
    this.flags.set(key, { value, version: (this.flags.get(key)?.version ?? -1) + 1 })
  }

  drop(key: string): void {
    this.flags.delete(key)
    this.events.emit(ProviderEvents.ConfigurationChanged, { flagsChanged: [key] })
  }

  /** Answer the questions that hang, last first. */
  release(): void {
    for (const answer of this.held.splice(0).toReversed()) answer()
  }

  override resolveBooleanEvaluation(key: string, fallback: boolean): Promise<ResolutionDetails<boolean>> {
    return this.answer(key, fallback)
  }

  override resolveObjectEvaluation<T extends JsonValue>(key: string, fallback: T): Promise<ResolutionDetails<T>> {
    return this.answer(key, fallback)
  }

  private async answer<T>(key: string, fallback: T): Promise<ResolutionDetails<T>> {
    this.asked += 1
    const flag = this.flags.get(key)
    switch (this.weather) {
      case "fails":
        return { value: fallback, reason: "ERROR", errorMessage: "connection refused" }
      case "throws":
        throw new Error("the provider's own fault")
      case "hangs":
        await new Promise<void>((resolve) => this.held.push(resolve))
        break
      case "nonsense":
        return undefined as unknown as ResolutionDetails<T>
    }
    if (flag === undefined) return { value: fallback, errorCode: "FLAG_NOT_FOUND" as never }
    // What the code's default is, and nothing else tells so.
    if (flag.value === undefined) return { value: structuredClone(fallback), reason: "DEFAULT" }
    const reason = this.weather === "stale" ? "STALE" : "STATIC"
    return { value: flag.value as T, reason, flagMetadata: { version: flag.version } }
  }
}

let domains = 0

/** A provider of its own, and a client that asks it. */
export async function openFlags(): Promise<{ flags: Flags; client: Client; domain: string }> {
  const domain = `test-${domains++}`
  const flags = new Flags()
  await OpenFeature.setProviderAndWait(domain, flags)
  return { flags, client: OpenFeature.getClient(domain), domain }
}
