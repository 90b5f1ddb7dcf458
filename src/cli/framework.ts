import { readFile, stat } from "node:fs/promises"
import { dirname, join } from "node:path"

/** What an agent is made with, as `--framework` names it; `none` is plain functions. */
export const FRAMEWORKS = ["ai", "langchain", "openai-agents", "claude-agent-sdk", "mcp", "none"] as const
export type Framework = (typeof FRAMEWORKS)[number]

/** By which packages a framework is known; of several it is used by the first. */
export const PACKAGES: Readonly<Record<Framework, readonly string[]>> = {
  ai: ["ai"],
  langchain: ["langchain"],
  "openai-agents": ["@openai/agents"],
  "claude-agent-sdk": ["@anthropic-ai/claude-agent-sdk"],
  mcp: ["@modelcontextprotocol/server", "@modelcontextprotocol/sdk"],
  none: [],
}

/** The project that a command runs in, as its package.json tells it. */
export interface Project {
  /** Names of all packages that it depends on. */
  readonly packages: ReadonlySet<string>
  readonly isTypeScript: boolean
  /** Whether `.js` and `.ts` are ES modules. */
  readonly isModule: boolean
  /** Why package.json says nothing. */
  readonly problem?: string
}

/** Look at the nearest package.json, and for a tsconfig.json from here to there. */
export async function projectAt(cwd: string): Promise<Project> {
  let isTypeScript = false
  for (let dir = cwd; ; dir = dirname(dir)) {
    isTypeScript ||= await isFile(join(dir, "tsconfig.json"))
    const text = await readFile(join(dir, "package.json"), "utf8").catch(() => null)
    if (text !== null) return projectOf(text, isTypeScript)
    if (dirname(dir) === dir) return { packages: new Set(), isTypeScript, isModule: false, problem: "there is none" }
  }
}

function projectOf(text: string, hasConfig: boolean): Project {
  let manifest: unknown
  try {
    manifest = JSON.parse(text)
  } catch {
    return { packages: new Set(), isTypeScript: hasConfig, isModule: false, problem: "it is no JSON" }
  }
  const fields = recordOf(manifest)
  const listed = ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"]
  const packages = new Set(listed.flatMap((key) => Object.keys(recordOf(fields[key]))))
  return { packages, isTypeScript: hasConfig || packages.has("typescript"), isModule: fields["type"] === "module" }
}

const recordOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  )

/** The frameworks that a project uses, those of whole agents before MCP. */
export const frameworksOf = ({ packages }: Project): readonly Framework[] =>
  FRAMEWORKS.filter((framework) => PACKAGES[framework].some((name) => packages.has(name)))

/** The package to write code for: the one that is there, else the first. */
export function packageOf(framework: Framework, { packages }: Pick<Project, "packages">): string | undefined {
  const names = PACKAGES[framework]
  return names.find((name) => packages.has(name)) ?? names[0]
}
