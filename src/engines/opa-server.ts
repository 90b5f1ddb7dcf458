import type { Call } from "../model/call.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import type { Evaluation, EvaluationContext, Policy } from "../release/ports.js"
import { jsonText, opaInput } from "./opa-input.js"
import { opaOutcome } from "./opa-result.js"

/** Options of `opaServer()`. */
export interface OpaServerOptions<C = Call> {
  /** Where OPA listens: `http://127.0.0.1:8181`. What stands before `/v1/data` may have a path. */
  readonly url: string
  /** Which rule decides: `agent/decision` for `data.agent.decision`. Give each release a package of its own. */
  readonly path: string
  /** Say what OPA is given as `input`. Default: `opaInput`. */
  readonly input?: ((call: C, context: EvaluationContext) => unknown) | undefined
  /** Say what its answer means. Default: `opaOutcome`. */
  readonly outcome?: ((result: unknown) => Evaluation) | undefined
  /** Such as `authorization`. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Largest answer, bytes. Default 64 KiB. */
  readonly maxBytes?: number | undefined
}

const SERVER_KEYS: KeysOf<OpaServerOptions> = {
  url: true,
  path: true,
  input: true,
  outcome: true,
  headers: true,
  maxBytes: true,
}

/**
 * Make a policy that asks an OPA server, `POST <url>/v1/data/<path>`. It answers later: its guard must be async, whose limit is the limit
 * of each question. An undefined rule, a status other than 200, a redirect and an answer that is too large are errors of the evaluation.
 */
export function opaServer<C extends Call = Call>(options: OpaServerOptions<C>): Policy<C, Promise<Evaluation>> {
  const { address, input, outcome, headers, maxBytes } = resolve(options)
  return Object.freeze({
    async evaluate(call: C, context: EvaluationContext): Promise<Evaluation> {
      const response = await fetch(address, {
        method: "POST",
        body: jsonText({ input: input(call, context) }),
        headers,
        // Attack: a server that sends the question, and the authorization with it, to another one.
        redirect: "manual",
        signal: context.signal ?? null,
      })
      if (response.status !== 200) {
        await response.body?.cancel()
        throw new Error(`OPA answered with status ${response.status}`)
      }
      const answer: unknown = JSON.parse(await readText(response, maxBytes))
      if (typeof answer === "object" && answer !== null && Object.hasOwn(answer, "result")) {
        return outcome((answer as { readonly result: unknown }).result)
      }
      throw new Error(
        `OPA's answer has no result: ${address.pathname} is undefined for this input, or there is no such rule`,
      )
    },
  })
}

/** Attack: an answer without end. What it says of its length is not believed. */
async function readText(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Leaving the loop ends the connection.
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new Error(`OPA's answer is larger than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks))
}

function resolve<C extends Call>(options: OpaServerOptions<C>) {
  refuseUnknown("opaServer", options, SERVER_KEYS)
  const { url, path, input = opaInput, outcome = opaOutcome, headers = {}, maxBytes = 64 * 1024 } = options
  if (typeof url !== "string" || !URL.canParse(url) || !/^https?:/.test(url)) {
    throw new TypeError(`url must be an address such as http://127.0.0.1:8181, got ${String(url)}`)
  }
  const base = new URL(url)
  if (base.username !== "" || base.password !== "") {
    throw new TypeError("url must have no name and password in it, which would be logged; use headers.authorization")
  }
  if (base.search !== "" || base.hash !== "") throw new TypeError("url must have no query and no fragment")
  if (typeof path !== "string" || !/^[\w-]+(\/[\w-]+)*$/.test(path)) {
    throw new TypeError(
      `path must be names joined by /, as agent/decision for data.agent.decision, got ${String(path)}`,
    )
  }
  if (typeof input !== "function") throw new TypeError(`input must be a function, got ${typeof input}`)
  if (typeof outcome !== "function") throw new TypeError(`outcome must be a function, got ${typeof outcome}`)
  if (!(Number.isSafeInteger(maxBytes) && maxBytes >= 1)) {
    throw new RangeError(`maxBytes must be a whole number from 1 on, got ${maxBytes}`)
  }
  // A built-in function that fails is then an error, where OPA would leave the rule undefined, or take its default.
  const address = new URL(`${base.href.replace(/\/+$/, "")}/v1/data/${path}?strict-builtin-errors=true`)
  const sent = new Headers({ ...headers, "content-type": "application/json", accept: "application/json" })
  return { address, input, outcome, headers: sent, maxBytes }
}
