import { access } from "node:fs/promises"
import { join, resolve } from "node:path"
import { SerinError, type Problem } from "../errors.js"
import { z } from "zod"
import { answers } from "./answer.js"
import { choice, defineCommand, JSON_FLAG } from "./command.js"
import { EXIT } from "./exit-code.js"
import { FRAMEWORKS, frameworksOf, packageOf, projectAt, type Framework, type Project } from "./framework.js"
import { quoted } from "./place.js"
import { STARTER_FILES } from "./starter.js"
import { starterCode } from "./starter-code.js"
import { writeNew } from "./write-new.js"

const DEFAULT_DIR = "safety"

export const initCommand = defineCommand({
  operand: "[DIR]",
  notes: [
    `DIR is ${DEFAULT_DIR} by default. Overwrites nothing.`,
    "The code is for the framework that package.json names, in TypeScript where there is a tsconfig.json, else in JavaScript.",
  ],
  example: "serin init",
  flags: {
    framework: {
      type: "string",
      value: FRAMEWORKS.join("|"),
      text: "what the agent is made with (default: as package.json says); none: plain functions",
    },
    ...JSON_FLAG,
  },
  answers: answers(
    "serin/init/1",
    z.object({
      written: z.array(z.string()),
      framework: z.enum(FRAMEWORKS),
      /** The module with the guard. */
      code: z.string(),
      /** Packages that it needs and package.json does not name. */
      install: z.array(z.string()),
    }),
  ),
  async run({ values, operands, io, out }) {
    const shown = operands[0] ?? DEFAULT_DIR
    if (shown === "") throw new SerinError("USAGE", "serin init: DIR must not be empty")
    const asked = choice("framework", values.framework, FRAMEWORKS)
    const dir = resolve(io.cwd, shown)
    const project = await projectAt(io.cwd)
    const found = frameworksOf(project)
    const framework = asked ?? found[0] ?? "none"
    const from = packageOf(framework, project)
    const rollout = join(shown, "rollout.yaml")
    const releases = join(shown, "releases")
    const code = codeFile(framework, project)
    const files: Readonly<Record<string, string>> = {
      ...STARTER_FILES,
      [code]: starterCode({ framework, from, typescript: project.isTypeScript, rollout, releases }),
      ".gitignore": "# Where the rollout stands: made by the first run, and no source.\nstate/\n",
    }
    const paths = Object.keys(files)
    await refuseExisting(dir, shown, paths)
    for (const [path, text] of Object.entries(files)) {
      await writeNew(join(dir, path), text, { shown: `serin init: ${join(shown, path)}`, folders: true })
    }
    const written = paths.map((path) => join(shown, path))
    const install = missingPackages(framework, from, project)
    if (values.json) {
      out.json({ written, framework, code: join(shown, code), install })
      return EXIT.ok
    }
    for (const path of written) out.line(`wrote ${path}`)
    const others = asked === undefined ? found.slice(1) : []
    if (others.length > 0)
      out.line(`  the code is for ${framework}; package.json also has ${others.join(", ")}: --framework chooses`)
    if (asked === undefined && found.length === 0) {
      const why =
        project.problem === undefined ? "names no framework that is known here" : `was not read: ${project.problem}`
      out.line(`  the code is for plain functions: package.json ${why}; --framework chooses`)
    }
    const flag = shown === DEFAULT_DIR ? "" : ` --rollout ${quoted(rollout)}`
    out.line()
    out.line("next:")
    if (install.length > 0) out.line(`  npm install ${install.join(" ")}`)
    out.line(`  serin validate${flag}   checks it and says what it will do`)
    out.line(`  in the application:   ${USES[framework]} ${join(shown, code)}`)
    out.line(
      `  serin start${flag}      puts 1.5.0 to the test while the application runs; \`serin watch${flag}\` shows it`,
    )
    return EXIT.ok
  },
})

/** An ES module whatever package.json says, for its guard is awaited at its top. */
function codeFile(framework: Framework, { isTypeScript, isModule }: Project): string {
  return `${framework === "mcp" ? "server" : "agent"}.${isModule ? "" : "m"}${isTypeScript ? "ts" : "js"}`
}

const USES: Readonly<Record<Framework, string>> = {
  none: "import `tools` and `guard` from",
  ai: "import `tools` or `answer` from",
  langchain: "import `guard` or `answer` from",
  "openai-agents": "import `tools` or `answer` from",
  "claude-agent-sdk": "import `hooksOf` or `answer` from",
  mcp: "import `createServer` from",
}

const USING_ZOD: readonly Framework[] = ["openai-agents", "claude-agent-sdk", "mcp"]

/** What the code needs and package.json does not name. */
function missingPackages(framework: Framework, from: string | undefined, { packages }: Project): readonly string[] {
  const needed = ["serin", "@opentelemetry/api", ...(from === undefined ? [] : [from])]
  if (USING_ZOD.includes(framework)) needed.push("zod")
  return needed.filter((name) => !packages.has(name))
}

async function refuseExisting(dir: string, shown: string, paths: readonly string[]): Promise<void> {
  const problems: Problem[] = []
  for (const path of paths) {
    const isThere = await access(join(dir, path)).then(
      () => true,
      () => false,
    )
    if (isThere) problems.push({ where: join(shown, path), message: "is there already" })
  }
  if (problems.length === 0) return
  const message = "serin init overwrites nothing: name another directory, or move these files away"
  throw new SerinError("USAGE", message, { problems })
}
