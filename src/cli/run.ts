import { isSerinError, type Problem } from "../errors.js"
import { errorText } from "../model/error-text.js"
import { nearest } from "../model/nearest.js"
import { SERIN_VERSION } from "../model/version.js"
import { usage } from "./command.js"
import { VERBS, type ListedVerb } from "./commands.js"
import { EXIT } from "./exit-code.js"
import { helpOf, overview } from "./help.js"
import type { Io } from "./io.js"
import { createPrinter } from "./printer.js"

/** Run `serin` with the arguments after its name; answers the exit code. Never rejects: what went wrong is on stderr. */
export async function run(argv: readonly string[], world: Omit<Io, "atEnd">): Promise<number> {
  const ends: (() => void)[] = []
  const io: Io = { ...world, atEnd: (work) => void ends.push(work) }
  try {
    return await dispatch(argv, io)
  } catch (error) {
    return await fail(error, argv, io)
  } finally {
    for (const end of ends) end()
  }
}

async function dispatch(argv: readonly string[], io: Io): Promise<number> {
  const out = createPrinter(io)
  const [verb = "--help", ...rest] = argv
  if (verb === "--version" || verb === "-v") {
    out.line(SERIN_VERSION)
  } else if (verb === "--help" || verb === "-h" || (verb === "help" && rest.length === 0)) {
    out.lines(overview(VERBS))
  } else {
    const words = verb === "help" ? rest : argv
    const group = VERBS.filter(({ name }) => name.startsWith(`${words[0]} `))
    const asksForGroup = group.length > 0 && (words[1] === undefined || words[1].startsWith("-"))
    if (asksForGroup) out.lines(overview(group))
    else {
      // A verb is one word, or two: that of its group before its own.
      const own = group.length > 0 ? 2 : 1
      const command = await find(words.slice(0, own).join(" ")).load()
      if (verb !== "help" && !asksForHelp(rest)) return command.run(argv.slice(own), io)
      out.lines(helpOf(command))
    }
  }
  return EXIT.ok
}

function asksForHelp(rest: readonly string[]): boolean {
  const end = rest.indexOf("--")
  return (end === -1 ? rest : rest.slice(0, end)).some((word) => word === "--help" || word === "-h")
}

function find(verb: string): ListedVerb {
  const found = VERBS.find(({ name }) => name === verb)
  if (found !== undefined) return found
  const names = VERBS.map(({ name }) => name)
  const near = nearest(verb, names)
  const fix = near === undefined ? `there are ${names.join(", ")}` : `did you mean \`serin ${near}\`?`
  throw usage(`unknown command ${JSON.stringify(verb)}; ${fix}`)
}

async function fail(error: unknown, argv: readonly string[], io: Io): Promise<number> {
  const out = createPrinter(io)
  if (io.signal.aborted && error === io.signal.reason) {
    out.note(`serin ${argv[0]}: ended before it was done`)
    return EXIT.ended
  }
  const code = isSerinError(error) ? error.code : "UNEXPECTED"
  const problems = isSerinError(error) ? error.problems : []
  // Problems are in the message as well, for those who only log it.
  const full = errorText(error)
  const message = problems.length > 0 ? (full.split("\n", 1)[0] ?? "") : full
  if (argv.includes("--json")) {
    const { FAILURE } = await import("./answer.js")
    out.json({ format: FAILURE.format, error: { code, message, problems } })
  }
  out.note(`${code}: ${nearer(message)}`)
  for (const problem of problems) out.note(`  ${describe(problem)}`)
  if (code === "STATE_INVALID") {
    out.note(
      "processes keep the last state that they could read; `serin history` lists it, and pause, rollback and kill still work, and go on from the last good one",
    )
  }
  if (problems.some((problem) => problem.message.includes("`engine` is the unknown"))) {
    out.note("an engine of your own is named with --engines FILE: a module whose default export is a list of engines")
  }
  if (io.env["SERIN_DEBUG"] === "1" && error instanceof Error) {
    for (const line of (error.stack ?? "").split("\n")) out.note(line)
  }
  if (code === "STORE_UNAVAILABLE" || code === "STORE_UNAUTHORIZED") return EXIT.unreachable
  return code === "USAGE" ? EXIT.usage : EXIT.failed

  /** Paths as the user knows them. */
  function nearer(text: string): string {
    return text.replaceAll(`${io.cwd}/`, "")
  }

  function describe({ where, message, fix }: Problem): string {
    return nearer(`${where}: ${message}${fix === undefined ? "" : ` (${fix})`}`)
  }
}
