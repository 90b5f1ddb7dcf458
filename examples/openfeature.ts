import { once } from "node:events"
import { InMemoryProvider, OpenFeature } from "@openfeature/server-sdk"
import { embed, memoryStore } from "serin"
import { serinContext, serinHook, serinProvider, withKillFlag } from "serin/adapters/openfeature"

// The team's flags: one that stops the canary, and one of the application's own. Any provider will do.
const kill = (variant: "on" | "off") => ({
  "refund-agent-kill": { variants: { on: true, off: false }, defaultVariant: variant, disabled: false },
  "polite-tone": {
    variants: { on: true, off: false },
    defaultVariant: "off",
    disabled: false,
    // A rule that goes by who serves the session.
    contextEvaluator: (context: Record<string, unknown>) => (context["serin.arm"] === "canary" ? "on" : "off"),
  },
})
const flags = new InMemoryProvider(kill("off"))
await OpenFeature.setProviderAndWait(flags)

const safety = `${import.meta.dirname}/safety`
const store = withKillFlag(memoryStore(), { client: OpenFeature.getClient(), flagKey: "refund-agent-kill" })
const guard = await embed({ rollout: `${safety}/rollout.yaml`, releases: `${safety}/releases`, store, start: true })

// The rollout as flags, for code that asks OpenFeature rather than the guard.
await OpenFeature.setProviderAndWait("serin", serinProvider(guard))
const rollout = OpenFeature.getClient("serin")
const { value, reason } = await rollout.getStringDetails("refund-agent.release", "", {
  targetingKey: "conversation-42",
})
console.log(`conversation-42 is served by release ${value} (${reason})`)

// Which arm served is told with each evaluation of other flags, and may be asked for in their rules.
const application = OpenFeature.getClient().addHooks(
  serinHook(guard, { onEvaluation: ({ flagKey, arm, release }) => console.log(`${flagKey}: ${arm}, ${release}`) }),
)
await guard.withSession("conversation-42", () => application.getBooleanValue("polite-tone", false, serinContext(guard)))

/** Switch the flag, and wait until the guard has heard of it. */
async function switchKill(variant: "on" | "off"): Promise<void> {
  const changed = new EventTarget()
  const stop = guard.onChange(() => changed.dispatchEvent(new Event("change")))
  const heard = once(changed, "change", { signal: AbortSignal.timeout(10_000) })
  flags.putConfiguration(kill(variant))
  await heard
  stop()
  const { phase, state } = guard.status()
  console.log(`the flag is ${variant}: ${phase.phase}${variant === "on" ? `, ${state.last.reason}` : ""}`)
}

console.log(`the flag is off: ${guard.status().phase.phase}`)
await switchKill("on")
await switchKill("off")

await guard.close()
await OpenFeature.close()
