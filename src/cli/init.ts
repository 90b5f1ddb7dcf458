import { access, mkdir, writeFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { SerinError, type Problem } from "../errors.js"
import { defineCommand, JSON_FLAG } from "./command.js"
import { EXIT } from "./exit-code.js"
import { quoted } from "./place.js"
import { STARTER_FILES } from "./starter.js"

const DEFAULT_DIR = "safety"

export const initCommand = defineCommand({
  name: "init",
  summary: "Write a working rollout with two releases to begin from",
  operand: "[DIR]",
  notes: [`DIR is ${DEFAULT_DIR} by default. Overwrites nothing.`],
  example: "serin init",
  flags: { ...JSON_FLAG },
  async run({ values, operands, io, out }) {
    const shown = operands[0] ?? DEFAULT_DIR
    if (shown === "") throw new SerinError("USAGE", "serin init: DIR must not be empty")
    const dir = resolve(io.cwd, shown)
    const paths = Object.keys(STARTER_FILES)
    await refuseExisting(dir, shown, paths)
    for (const [path, text] of Object.entries(STARTER_FILES)) {
      await mkdir(dirname(join(dir, path)), { recursive: true })
      await writeFile(join(dir, path), text, { flag: "wx" })
    }
    const written = paths.map((path) => join(shown, path))
    if (values.json) {
      out.json({ written })
      return EXIT.ok
    }
    for (const path of written) out.line(`wrote ${path}`)
    const rollout = join(shown, "rollout.yaml")
    const flag = shown === DEFAULT_DIR ? "" : ` --rollout ${quoted(rollout)}`
    out.line()
    out.line("next:")
    out.line(`  serin validate${flag}   checks it and says what it will do`)
    out.line(
      `  in the application:   const guard = await embed({ rollout: "${rollout}", releases: "${join(shown, "releases")}" })`,
    )
    out.line(
      `  serin start${flag}      puts 1.5.0 to the test while the application runs; \`serin watch${flag}\` shows it`,
    )
    out.line(`  keep ${join(shown, "state")} out of version control: that is where the rollout stands`)
    return EXIT.ok
  },
})

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
