import { parseArgs } from "node:util"
import { SerinError } from "../errors.js"
import { nearest } from "../model/nearest.js"
import type { Answers, Told } from "./answer.js"
import type { Io } from "./io.js"
import { createPrinter, type Printer } from "./printer.js"

export interface Flag {
  readonly type: "string" | "boolean"
  /** What stands for its value in the help: `PATH`, or the choices, `next|end`. */
  readonly value?: string
  readonly text: string
}
export type Flags = Readonly<Record<string, Flag>>
export type Values<F extends Flags> = {
  readonly [K in keyof F]: F[K] extends { readonly type: "boolean" } ? boolean : string | undefined
}

export const PLACE_FLAGS = {
  rollout: { type: "string", value: "PATH", text: "the rollout's file (default: safety/rollout.yaml)" },
  state: {
    type: "string",
    value: "STORE",
    text: "where its state lives: a folder, or a store's address (default: $SERIN_STATE, then state/ beside that file)",
  },
  "state-key": { type: "string", value: "FILE", text: "the private key that signs state (default: $SERIN_STATE_KEY)" },
  "trusted-keys": {
    type: "string",
    value: "FILE",
    text: "the public keys that may have signed it (default: $SERIN_TRUSTED_KEYS, or that of the state key)",
  },
  "trusted-threshold": { type: "string", value: "N", text: "how many different ones must have signed (default: 1)" },
} as const satisfies Flags
export const JSON_FLAG = {
  json: { type: "boolean", text: "write one JSON document to stdout" },
} as const satisfies Flags
export const ACTOR_FLAGS = {
  by: { type: "string", value: "NAME", text: "who does it (default: $SERIN_ACTOR, then $USER)" },
  reason: { type: "string", value: "TEXT", text: "why; kept in the history" },
} as const satisfies Flags

/** What a command is given. */
export interface Invocation<F extends Flags, A = unknown> {
  /** Of its verb. */
  readonly name: string
  readonly values: Values<F>
  readonly operands: readonly string[]
  readonly io: Io
  readonly out: TellingPrinter<A>
}

/** Writes documents of the command's own format alone. */
export interface TellingPrinter<A> extends Printer {
  json(value: Told<A>): void
}

/** What a verb is called, and what it does, in the imperative and one line. */
export interface Verb {
  readonly name: string
  readonly summary: string
}

interface Described {
  /** What may follow the name, a word each: `[DIR]`. */
  readonly operand?: string
  /** What one must know besides, a line each. */
  readonly notes?: readonly string[]
  readonly example: string
  /** Documents of other formats that `--json` writes as well; they name theirs. */
  readonly moreAnswers?: readonly Answers[]
}

interface Definition<F extends Flags, A> extends Described {
  readonly flags: F
  /** What `--json` writes. */
  readonly answers?: Answers<A>
  run(invocation: Invocation<F, A>): Promise<number>
}

/** One verb of `serin`. */
export interface Command extends Verb, Described {
  readonly flags: Flags
  readonly answers?: Answers<unknown>
  /** Answers the exit code. Rejects with a `SerinError`. */
  run(argv: readonly string[], io: Io): Promise<number>
}

/** A command that is yet to be called something. */
export type DefinedCommand = (verb: Verb) => Command

/** Make a command of what it takes and what it does. */
export function defineCommand<const F extends Flags, A>(definition: Definition<F, A>): DefinedCommand {
  const { answers } = definition
  return (verb) => ({
    ...verb,
    ...definition,
    run(argv, io) {
      const { values, operands } = parse({ ...verb, ...definition }, argv)
      const out = createPrinter(io)
      const telling: TellingPrinter<A> = {
        ...out,
        json: (value) => out.json(answers === undefined ? value : { format: answers.format, ...value }),
      }
      return definition.run({ name: verb.name, values: values as Values<F>, operands, io, out: telling })
    },
  })
}

function parse({ name, flags, operand }: Verb & Described & { readonly flags: Flags }, argv: readonly string[]) {
  const options = Object.fromEntries(Object.entries(flags).map(([flag, { type }]) => [flag, { type }]))
  const args = [...argv]
  const help = `see \`serin help ${name}\``
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true, strict: true })
    const most = operand === undefined ? 0 : operand.split(" ").length
    if (positionals.length > most) {
      throw usage(`serin ${name}: unexpected argument ${JSON.stringify(positionals[most])}; ${help}`)
    }
    const booleans = Object.entries(flags).filter(([, { type }]) => type === "boolean")
    const unset = Object.fromEntries(booleans.map(([flag]) => [flag, false]))
    return { values: { ...unset, ...values }, operands: positionals }
  } catch (error) {
    if (error instanceof SerinError) throw error
    const { tokens } = parseArgs({ args, options, allowPositionals: true, strict: false, tokens: true })
    const unknown = tokens.find((token) => token.kind === "option" && !Object.hasOwn(flags, token.name))
    if (unknown?.kind === "option") {
      const near = nearest(unknown.name, Object.keys(flags))
      throw usage(
        `serin ${name}: unknown flag ${unknown.rawName}; ${near === undefined ? help : `did you mean --${near}?`}`,
      )
    }
    // Node's own words: a missing value, or a value for a flag that takes none.
    const message = error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error)
    throw usage(`serin ${name}: ${message.replace(/\.$/, "")}; ${help}`)
  }
}

/** Read what must follow the name. */
export function operandAt(operands: readonly string[], index: number, verb: string, name: string): string {
  const operand = operands[index]
  if (operand === undefined || operand === "") {
    throw usage(`serin ${verb}: ${name} is missing; see \`serin help ${verb}\``)
  }
  return operand
}

export const usage = (message: string): SerinError => new SerinError("USAGE", message)

/** Read a flag whose values are a closed list. */
export function choice<const T extends string>(
  flag: string,
  value: string | undefined,
  known: readonly T[],
): T | undefined {
  if (value === undefined) return undefined
  const found = known.find((one) => one === value)
  if (found === undefined) throw usage(`--${flag} must be ${known.join(" or ")}, got ${JSON.stringify(value)}`)
  return found
}
