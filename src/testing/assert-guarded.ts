import type { Call } from "../model/call.js"
import { createGuard } from "../guard.js"
import type { Guard } from "../guard.js"

/** What an agent is tried with: a tool that must not run, and a guard that denies every call. */
export interface Probe<G> {
  readonly guard: G
  /** Name of the tool. */
  readonly name: string
  /** The tool: give it to the agent as any other, through the adapter and with this `guard`. */
  readonly tool: (input?: unknown) => string
}

const NAME = "serin_probe"
const REASON = "this is a probe: the guard denies it"

/** Run the agent with a model that calls the probe once, and answer what the model was shown: messages, a prompt, a text. */
export type RunProbe<G> = (probe: Probe<G>) => unknown

/**
 * Try whether an agent really is guarded: rejects when a tool that is denied runs, when nobody asks the guard, when the refusal is
 * thrown out of the agent, or when the model is not told of it. For a test of an application: it needs a fake model.
 */
export function assertGuarded(run: RunProbe<Guard<Call, "async">>, options: { readonly async: true }): Promise<void>
export function assertGuarded(run: RunProbe<Guard>, options?: { readonly async?: false }): Promise<void>
export async function assertGuarded(
  run: RunProbe<Guard> | RunProbe<Guard<Call, "async">>,
  { async = false }: { readonly async?: boolean } = {},
): Promise<void> {
  let asked = 0
  let ran = 0
  const policy = {
    evaluate() {
      asked += 1
      return { outcome: "deny" as const, reason: REASON }
    },
  }
  const version = "1.0.0"
  const options = {
    rollout: "probe",
    state: { current: () => null, onChange: () => () => {} },
    releases: new Map([[version, { version, policy }]]),
    bootstrap: version,
    onEvent: () => {},
  }
  const guard = async ? createGuard({ ...options, async: true }) : createGuard(options)
  const tool = (): string => `${NAME} ran ${++ran} time(s)`
  try {
    const shown: unknown = await (run as RunProbe<unknown>)({ guard, name: NAME, tool })
    if (ran > 0) throw failure(`the tool ran ${ran} time(s) although it is denied: the guard does not stand before it`)
    if (asked === 0)
      throw failure("nobody asked the guard: the model did not call the tool, or the agent was not given it")
    if (!textOf(shown).includes(REASON)) {
      throw failure("the tool did not run, but what the model was shown does not say why")
    }
  } catch (error) {
    if (error instanceof Error && error.name === "NotGuarded") throw error
    if (ran > 0) throw failure(`the tool ran ${ran} time(s) although it is denied, and the agent failed`, error)
    throw failure("the agent failed in place of telling the model that the call is denied", error)
  } finally {
    await guard.close()
  }
}

function failure(what: string, cause?: unknown): Error {
  const error = new Error(`assertGuarded: ${what}`, cause === undefined ? undefined : { cause })
  error.name = "NotGuarded"
  return error
}

function textOf(shown: unknown): string {
  if (typeof shown === "string") return shown
  try {
    return JSON.stringify(shown) ?? ""
  } catch {
    return ""
  }
}
