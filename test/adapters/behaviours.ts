/** What adapters are held to, in the order of the page. */
export const BEHAVIOURS = {
  allow: "An allowed call runs, and its output reaches the model untouched",
  deny: "A denied call does not run, and the model is told why",
  pause: "An escalated call pauses for the runtime's approval, and runs once approved",
  refused: "An escalated call that a person refuses does not run",
  channel: "An escalated call is put to the host's channel",
  unattended: "An escalated call that nobody can be asked about is denied",
  hook: "A policy or a session function that throws is a denial, or no session, and nothing is thrown into the runtime",
  broken: "A tool's own error stays the model's to recover from",
  streamed: "The same when the answer is streamed",
  scanned: "A blocked output is withheld, and the model is told why",
  session: "The framework's own id is the session, and one that is told goes before it",
  arm: "Two calls of one session keep the arm",
  once: "A call counts once, over approval and execution",
  async: "The same with an asynchronous guard",
} as const
export type Behaviour = keyof typeof BEHAVIOURS
const names = Object.keys(BEHAVIOURS) as Behaviour[]

/** What is held to them, in the order of the page: a row each. */
export const FRAMEWORKS = [
  "AI SDK 6",
  "AI SDK 7",
  "AI SDK 7, `toolApproval`",
  "Claude Agent SDK",
  "LangChain 1",
  "OpenAI Agents SDK 0.12",
  "OpenAI Agents SDK 0.20",
  "MCP server, SDK 1",
  "MCP server, SDK 2",
  "MCP client, SDK 1",
  "MCP client, SDK 2",
  "Mastra 1, the recipe",
  "Strands 1, the recipe",
  "Google ADK 2, the recipe",
] as const
export type Framework = (typeof FRAMEWORKS)[number]

/** `yes`, or in a few words what the framework has no place for; a behaviour that failed is missing. */
export type Found = Readonly<Partial<Record<Behaviour, string>>>

/** What a run of the tests found of one framework, as its reporter hands it on. */
export interface FoundRow {
  readonly framework: Framework
  readonly found: Found
}

export const PAGE = "reference/adapters.md"

/** The table of what was found, as the page has it. */
export const resultsTable = (found: ReadonlyMap<Framework, Found>): string =>
  table([
    ["framework", ...names],
    ...FRAMEWORKS.map((framework) => [framework, ...names.map((name) => found.get(framework)?.[name] ?? "")]),
  ])

/** The table of what the behaviours mean. */
export const meaningTable = (): string => table([["behaviour", "meaning"], ...Object.entries(BEHAVIOURS)])

/** Rows of the first of them, as a page has them; whatever else it has is left out. */
export function rowsOf(rows: readonly (readonly string[])[]): Map<Framework, Found> {
  const [, ...columns] = rows.find(([first]) => first === "framework") ?? []
  const cellsOf = (framework: Framework): readonly (readonly [string, string])[] => {
    const [, ...cells] = rows.find(([first]) => first === framework) ?? []
    return cells.map((cell, i) => [columns[i] ?? "", cell] as const)
  }
  return new Map(FRAMEWORKS.map((framework) => [framework, Object.fromEntries(cellsOf(framework)) as Found]))
}

function table([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`
  return [line(head), `|${head.map(() => "---|").join("")}`, ...rows.map(line)].join("\n")
}
