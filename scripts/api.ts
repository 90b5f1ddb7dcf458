import { dirname, join } from "node:path"
import ts from "typescript"
import { originalOf, printDeclaration, referencesIn } from "./declaration.js"

/** One published entry of a package. */
export interface Entry {
  /** As it is imported. */
  readonly name: string
  /** Path of its declarations. */
  readonly types: string
}

export interface Api {
  /** What each entry exports, as Markdown, by its name. Names and places of files that entries share leave no trace in it. */
  readonly texts: ReadonlyMap<string, string>
  /** Exports without a docstring, and types that an export needs and no entry exports: nobody could name what they are given. */
  readonly complaints: readonly string[]
}

/**
 * Types that nobody needs to name: bases of unions and of interfaces, and what is worked out from a type parameter. They are told of with what
 * needs them, so that a change of theirs is seen.
 */
const SEEN_THROUGH = new Set([
  "AnyFunction",
  "Asked",
  "Callback",
  "EntryOf",
  "EvaluationFor",
  "EvaluationFrom",
  "Judged",
  "Judgement",
  "Later",
  "LaterReport",
  "Middleware",
  "NamedTool",
  "ScanReportFor",
  "Source",
  "Threat",
])

/** Read the API of a built package from its declarations alone: types of other packages are named, and not looked at. */
export function readApi(entries: readonly Entry[]): Api {
  const program = programOf(entries.map(({ types }) => types))
  const checker = program.getTypeChecker()
  const exported = new Map(entries.map((entry) => [entry, exportsOf(program, entry)]))
  /** Where a thing is published first, and as what: the main entry is the first. */
  const home = new Map<ts.Symbol, { readonly entry: Entry; readonly name: string }>()
  for (const [entry, names] of exported) {
    for (const [name, symbol] of names) if (!home.has(symbol)) home.set(symbol, { entry, name })
  }

  const texts = new Map<string, string>()
  const complaints: string[] = []
  for (const [entry, names] of exported) {
    const here = new Map(names.map(([name, symbol]) => [symbol, name]))
    const nameOf = (symbol: ts.Symbol): string => here.get(symbol) ?? home.get(symbol)?.name ?? symbol.name
    const unnamed = new Map<string, ts.Symbol>()

    function print(name: string, symbol: ts.Symbol): string {
      const nodes = symbol.declarations ?? []
      for (const used of nodes.flatMap((node) => referencesIn(node, checker))) {
        if (home.has(used)) continue
        if (SEEN_THROUGH.has(used.name)) unnamed.set(used.name, used)
        else complaints.push(`${entry.name}: ${name} needs ${used.name}, which no entry exports: export it there`)
      }
      return nodes.map((node) => printDeclaration(node, name, checker, nameOf)).join("\n")
    }

    const parts = names.map(([name, symbol]) => {
      const first = home.get(symbol)!
      if (first.entry !== entry) {
        return `export { ${first.name === name ? name : `${first.name} as ${name}`} } from "${first.entry.name}"`
      }
      if (!isDocumented(symbol)) complaints.push(`${entry.name}: ${name} has no docstring: say what it is, or does`)
      return print(name, symbol)
    })
    // What they need may be such a type again: the map grows while it is walked.
    const below: string[] = []
    for (const [name, symbol] of unnamed) below.push(print(name, symbol).replace(/^export /, ""))
    texts.set(entry.name, page(entry.name, parts, below))
  }
  return { texts, complaints: [...new Set(complaints)] }
}

/** Neither the language nor other packages are read: what is published of them is a name, and reading them took most of the time. */
function programOf(rootNames: readonly string[]): ts.Program {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    noLib: true,
    module: ts.ModuleKind.ESNext,
    types: [],
    noEmit: true,
  }
  const host = ts.createCompilerHost(options)
  host.resolveModuleNameLiterals = (literals, from) =>
    literals.map(({ text }) => {
      if (!text.startsWith(".")) return { resolvedModule: undefined }
      const resolvedFileName = join(dirname(from), text.replace(/\.js$/, ".d.ts"))
      return { resolvedModule: { resolvedFileName, extension: ts.Extension.Dts } }
    })
  return ts.createProgram({ rootNames, options, host })
}

/** What an entry exports, by name, in the order of the alphabet. */
function exportsOf(program: ts.Program, { types }: Entry): readonly (readonly [string, ts.Symbol])[] {
  const checker = program.getTypeChecker()
  const module = checker.getSymbolAtLocation(program.getSourceFile(types)!)
  if (module === undefined) throw new Error(`${types} is no module`)
  return checker
    .getExportsOfModule(module)
    .map((symbol) => [symbol.name, originalOf(symbol, checker)] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function isDocumented(symbol: ts.Symbol): boolean {
  return (symbol.declarations ?? []).some((node) => ts.getJSDocCommentsAndTags(node).some(ts.isJSDoc))
}

function page(name: string, parts: readonly string[], below: readonly string[]): string {
  const block = (declarations: readonly string[]): string => `\`\`\`ts\n${declarations.join("\n\n")}\n\`\`\`\n`
  const unnamed = below.length === 0 ? "" : `\nNeeded by these, and exported under no name:\n\n${block(below)}`
  return `# API of ${name}\n\nMade by \`npm run api\` of what was built.\n\n${block(parts)}${unnamed}`
}
