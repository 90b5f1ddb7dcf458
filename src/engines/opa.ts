import { createRequire } from "node:module"
import { libraryMissing } from "../errors.js"
import type { Problem } from "../errors.js"
import type { Call } from "../model/call.js"
import { refuseUnknown } from "../model/options.js"
import type { KeysOf } from "../model/options.js"
import { invalid, suggest } from "../release/problems.js"
import type { Engine, Evaluation, EvaluationContext, Policy, SourceFile } from "../release/ports.js"
import { readOpaParts } from "./opa-bundle.js"
import type { OpaParts } from "./opa-bundle.js"
import { jsonText, opaInput } from "./opa-input.js"
import { opaOutcome } from "./opa-result.js"

export { opaInput } from "./opa-input.js"
export { opaOutcome } from "./opa-result.js"
export { opaServer } from "./opa-server.js"
export type { OpaServerOptions } from "./opa-server.js"

/** Options of `opaEngine()`. */
export interface OpaOptions<C = Call> {
  /** Which rule decides, as it was named to `opa build -e`: `agent/decision`. Not needed where a module has one. */
  readonly entrypoint?: string | undefined
  /** Say what the policy is given as `input`. Default: `opaInput`. */
  readonly input?: ((call: C, context: EvaluationContext) => unknown) | undefined
  /** Say what its answer means. Default: `opaOutcome`. */
  readonly outcome?: ((result: unknown) => Evaluation) | undefined
  /** Built-in functions of Rego that the library does not have. Both arms use them. */
  readonly builtins?: Readonly<Record<string, (...args: never[]) => unknown>> | undefined
}

/** What is used of `@open-policy-agent/opa-wasm`. */
interface Library {
  loadPolicySync(
    module: object,
    memory: { readonly initial: number; readonly maximum: number },
    builtins: OpaOptions["builtins"],
  ): Loaded
}
interface Loaded {
  /** Ids by name. */
  readonly entrypoints: object
  /** Takes JSON as bytes, too. */
  evaluate(input: ArrayBuffer, entrypoint: string): unknown
  setData(data: object): void
}

/** Of the runtime; the types of Node.js 20 leave it out. */
declare const WebAssembly: {
  readonly Module: { new (bytes: Uint8Array): object; exports(module: object): readonly { readonly name: string }[] }
}

const OPA_KEYS: KeysOf<OpaOptions> = { entrypoint: true, input: true, outcome: true, builtins: true }
/** Of 64 KiB: 256 MiB for one release. A policy that needs more is an error of the evaluation. */
const MAX_PAGES = 4096
const EXPORTS = [
  "builtins",
  "entrypoints",
  "opa_heap_ptr_get",
  "opa_json_dump",
  "opa_json_parse",
  "opa_malloc",
  "opa_wasm_abi_version",
]

/**
 * Make the engine for policies of OPA that were compiled to WebAssembly: a release lists a `policy.wasm`, and a `data.json` if there is one,
 * or a `bundle.tar.gz` of both. An undefined rule is an error of the evaluation, never a decision. Throws `LIBRARY_MISSING` without the
 * optional package `@open-policy-agent/opa-wasm`.
 */
export function opaEngine<C extends Call = Call>(options: OpaOptions<C> = {}): Engine<C> {
  const { entrypoint, input, outcome, builtins } = resolve(options)
  const library = requireOpa()
  return {
    name: "opa",
    compile(files) {
      const problems: Problem[] = []
      const parts = readOpaParts(files, problems)
      const module = parts && openModule(library, parts, builtins, files, problems)
      const chosen = module && chooseEntrypoint(module.first, entrypoint, files, problems)
      if (module === null || chosen === null) throw invalid("RULES_INVALID", "the policy", problems)
      return opaPolicy(module, chosen, input, outcome)
    },
  }
}

/** A compiled module. */
interface Module {
  /** Its first instance. */
  readonly first: Loaded
  /** Make another, with a memory of its own, and the release's data in it. */
  readonly load: () => Loaded
}

function opaPolicy<C extends Call>(
  { first: instance, load }: Module,
  entrypoint: string,
  input: (call: C, context: EvaluationContext) => unknown,
  outcome: (result: unknown) => Evaluation,
): Policy<C> {
  let loaded: Loaded | null = instance

  function ask(json: ArrayBuffer): unknown {
    const asked = (loaded ??= load())
    try {
      return asked.evaluate(json, entrypoint)
    } catch (error) {
      // What was interrupted leaves its stack, and perhaps more, as it was: the next call gets another instance.
      loaded = null
      throw error instanceof Error ? error : new Error(`the policy failed: ${messageOf(error)}`)
    }
  }

  return Object.freeze({
    evaluate(call: C, context: EvaluationContext): Evaluation {
      const answers = ask(bytesOf(jsonText(input(call, context))))
      const [first, second] = Array.isArray(answers) ? (answers as unknown[]) : []
      if (first === undefined || second !== undefined) {
        throw new Error(`${entrypoint} is undefined for this input; give it a default`)
      }
      if (typeof first === "object" && first !== null && Object.hasOwn(first, "result")) {
        return outcome((first as { readonly result: unknown }).result)
      }
      throw new Error("the module answered something else than a result; build it with `opa build -t wasm -e`")
    },
  })
}

/** Null: what is wrong was pushed on `problems`. */
function openModule(
  library: Library,
  { wasm, data }: OpaParts,
  builtins: Readonly<Record<string, (...args: never[]) => unknown>>,
  files: readonly SourceFile[],
  problems: Problem[],
): Module | null {
  const where = files.map(({ path }) => path).join(", ")
  try {
    // A copy: whoever holds the bytes may change them.
    const module = new WebAssembly.Module(new Uint8Array(wasm))
    const names = new Set(WebAssembly.Module.exports(module).map(({ name }) => name))
    const missing = EXPORTS.filter((name) => !names.has(name))
    if (missing.length > 0) {
      problems.push({
        where,
        message: `is no policy of OPA: it has no ${missing.join(", ")}`,
        fix: "build it with `opa build -t wasm`",
      })
      return null
    }
    const load = (): Loaded => {
      const loaded = library.loadPolicySync(module, { initial: 5, maximum: MAX_PAGES }, { ...builtins })
      if (data !== undefined) loaded.setData(data)
      return loaded
    }
    return { first: load(), load }
  } catch (error) {
    problems.push({ where, message: `cannot be loaded: ${messageOf(error)}` })
    return null
  }
}

function chooseEntrypoint(
  { entrypoints }: Loaded,
  wanted: string | undefined,
  files: readonly SourceFile[],
  problems: Problem[],
): string | null {
  const names = Object.keys(entrypoints)
  const [only] = names
  if (wanted === undefined && names.length === 1 && only !== undefined) return only
  if (wanted !== undefined && names.includes(wanted)) return wanted
  const where = files.map(({ path }) => path).join(", ")
  const message = wanted === undefined ? `has ${names.length} entrypoints` : `has no entrypoint ${wanted}`
  problems.push({ where, message, fix: `\`entrypoint\` of opaEngine() says which; ${suggest(wanted ?? "", names)}` })
  return null
}

/** Of the encoder's own size, since the library takes the whole of it. */
function bytesOf(json: string): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = new TextEncoder().encode(json)
  return buffer.slice(byteOffset, byteOffset + byteLength)
}

/** The library throws texts too. */
function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message
  return typeof error === "string" ? error : String((error as { readonly message?: unknown } | null)?.message)
}

function resolve<C extends Call>(options: OpaOptions<C>) {
  refuseUnknown("opaEngine", options, OPA_KEYS)
  const { entrypoint, input = opaInput, outcome = opaOutcome, builtins = {} } = options
  if (entrypoint !== undefined && (typeof entrypoint !== "string" || entrypoint === "")) {
    throw new TypeError(`entrypoint must be a text such as agent/decision, got ${JSON.stringify(entrypoint)}`)
  }
  if (typeof input !== "function") throw new TypeError(`input must be a function, got ${typeof input}`)
  if (typeof outcome !== "function") throw new TypeError(`outcome must be a function, got ${typeof outcome}`)
  for (const [name, one] of Object.entries(builtins)) {
    if (typeof one !== "function") throw new TypeError(`builtins.${name} must be a function, got ${typeof one}`)
  }
  return { entrypoint, input, outcome, builtins }
}

function requireOpa(): Library {
  try {
    return createRequire(import.meta.url)("@open-policy-agent/opa-wasm") as Library
  } catch (cause) {
    throw libraryMissing("opaEngine()", "@open-policy-agent/opa-wasm", "@open-policy-agent/opa-wasm@1", cause)
  }
}
