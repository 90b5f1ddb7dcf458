import type { Call } from "../model/call.js"
import type { Effect, Finding } from "../model/decision.js"

/** What a policy answers: an effect, or an effect with its reason. Anything else is an evaluation error (`invalid`). */
export type Evaluation =
  Effect | { readonly outcome: Effect; readonly reason?: string | undefined; readonly rule?: string | undefined }

/** Who is calling. */
export interface EvaluationContext {
  readonly sessionId: string
  /** Ms since the epoch. */
  readonly startedAt: number
  /** In an asynchronous guard: aborts when the guard stops waiting for this answer. */
  readonly signal?: AbortSignal | undefined
}

/** Judges one call. A throw, a rejection or an unknown answer is an error of this policy, never an allow. */
export interface Policy<C = Call, R extends Evaluation | Promise<Evaluation> = Evaluation> {
  evaluate(call: C, context: EvaluationContext): R
  /** Evaluating changes later answers or the world: it is never run in shadow. */
  readonly stateful?: boolean | undefined
  /** Give back what it holds. Called once, with the release that it was compiled for: of a release in code, `Release.close` is. */
  close?(): Promise<void> | void
}

/** Where a text goes: into the model, or out of it. */
export const DIRECTIONS = ["input", "output"] as const

/** Whether a text goes to the model or comes from it. */
export type Direction = (typeof DIRECTIONS)[number]

/** What a scanner is told beside the text. */
export interface ScanContext extends EvaluationContext {
  readonly direction: Direction
}

/** What a scanner answers. */
export interface ScanReport {
  readonly result: "clean" | "flagged" | "blocked"
  readonly findings?: readonly Omit<Finding, "scanner">[] | undefined
  /** The text with what this scanner found masked. */
  readonly redacted?: string | undefined
}

/** Looks at one text. A throw, a rejection or an unknown answer is an error of this scanner, never clean. */
export interface Scanner<R extends ScanReport | Promise<ScanReport> = ScanReport> {
  /** A metric label: short, and from a closed set. */
  readonly name: string
  scan(text: string, context: ScanContext): R
  /** Which texts it is run for. Default: both. */
  readonly directions?: readonly Direction[] | undefined
  /** Longest wait for its answer, ms, in an asynchronous guard; the guard's own limit holds beside it. */
  readonly timeoutMs?: number | undefined
  /** Scanning changes later answers or the world: it is never run in shadow, nor twice for one text. */
  readonly stateful?: boolean | undefined
}

/** Something that a monitor finds worth telling. */
export interface Alert {
  /** Short and from a closed set of the monitor's own: `rate_limit`, `unusual_sequence`. */
  readonly name: string
  readonly message?: string | undefined
}

/** Watches what happens in sessions. It may remember: each release has its own, and none is run in shadow. */
export interface Monitor {
  observe(event: unknown, context: EvaluationContext): readonly Alert[]
}

/** What is needed of a schema made with a library (zod, valibot, arktype): Standard Schema V1, https://standardschema.dev. */
export interface StandardSchema {
  readonly "~standard": {
    readonly version: 1
    readonly vendor: string
    validate(
      value: unknown,
    ):
      | { readonly issues?: readonly SchemaIssue[] | undefined }
      | Promise<{ readonly issues?: readonly SchemaIssue[] | undefined }>
  }
}

/** One thing that a schema does not take, as Standard Schema V1 tells of it. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** An immutable, versioned set of components: what one arm runs. */
export interface Release<
  C = Call,
  R extends Evaluation | Promise<Evaluation> = Evaluation,
  S extends ScanReport | Promise<ScanReport> = ScanReport,
> {
  readonly version: string
  readonly policy: Policy<C, R>
  readonly scanners?: readonly Scanner<S>[] | undefined
  readonly monitor?: Monitor | undefined
  /** Settings of the host's own, for one arm each: `session.config`. Plain data; frozen to its depth when a guard takes the release. */
  readonly config?: unknown
  /** What `config` must be. It is only checked: what a schema makes of it, defaults included, is not used. */
  readonly configSchema?: StandardSchema | undefined
  /** The library that it was made for, or any other: `session.sdk`. */
  readonly sdk?: unknown
  /** sha-256 of what it was built from, when it came from files. */
  readonly digest?: string | undefined
  /** Give back what it holds, such as workers. Called once, by the source that loaded it, when nobody needs it any more. */
  close?(): Promise<void>
}

/** What a module of a release makes its policy, scanner or monitor of. */
export interface ModuleParts {
  readonly version: string
  /** Of the same release, frozen. */
  readonly config: unknown
  /** What the host gave for the release's `sdk`; undefined in a worker. */
  readonly sdk: unknown
}

/** One file of a release. */
export interface SourceFile {
  /** For messages: where the file is. */
  readonly path: string
  /** Empty for a file that is no text by its name: `.wasm` and `.gz`. */
  readonly text: string
  /** What was verified. Absent where somebody has the text alone. */
  readonly bytes?: Uint8Array | undefined
}

/** Turns files of a release into a policy. Throws a `SerinError` (`RULES_INVALID`) that lists every problem. */
export interface Engine<C = Call> {
  readonly name: string
  compile(files: readonly SourceFile[]): Policy<C>
}

/** Where releases come from. A throw or a rejection is a `SerinError` with a code that begins with `RELEASE_`. */
export interface ReleaseSource<
  C = Call,
  R extends Evaluation | Promise<Evaluation> = Evaluation,
  S extends ScanReport | Promise<ScanReport> = ScanReport,
> {
  /**
   * `digest`: of the release that is meant, where that is known. A source that reads files fails with `RELEASE_UNTRUSTED` for others before it
   * runs any of them; one that ignores it is found out by the digest of what it gives.
   */
  get(version: string, options?: { readonly digest?: string | undefined }): Promise<Release<C, R, S>> | Release<C, R, S>
  /** A release that was got once is needed no more by whoever got it: nothing runs it, and no call of it is under way. */
  drop?(version: string): Promise<void> | void
}
