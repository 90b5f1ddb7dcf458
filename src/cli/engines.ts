import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { errorText } from "../model/error-text.js"
import { cedarEngine } from "../engines/cedar.js"
import { opaEngine } from "../engines/opa.js"
import { rulesEngine } from "../engines/rules.js"
import { checkEngines } from "../release/load.js"
import type { Engine } from "../release/ports.js"
import { usage, type Flags } from "./command.js"
import type { Io } from "./io.js"

export const ENGINES_FLAG = {
  engines: {
    type: "string",
    value: "FILE",
    text: "a module whose default export is a list of your engines; it is code, and can do what you can",
  },
} as const satisfies Flags

/** Engines whose package is optional: it is asked for when a release needs it. */
const OPTIONAL: Readonly<Record<string, () => Engine>> = { cedar: () => cedarEngine(), opa: () => opaEngine() }

/** The engines that this package brings, as they are without options. `onOptional` is told which is asked to compile. */
export function ownEngines(onOptional: (name: string) => void = () => {}): readonly Engine[] {
  const optional = Object.entries(OPTIONAL).map(([name, make]): Engine => {
    return {
      name,
      compile(files) {
        onOptional(name)
        return make().compile(files)
      },
    }
  })
  return [rulesEngine(), ...optional]
}

/** The engines that releases are compiled by: those of `--engines` before ours of the same name. Throws `USAGE`. */
export async function enginesOf(
  verb: string,
  file: string | undefined,
  { cwd, stderr }: Pick<Io, "cwd" | "stderr">,
): Promise<readonly Engine[]> {
  const told = new Set<string>()
  const own = ownEngines((name) => {
    if (told.has(name)) return
    told.add(name)
    stderr.write(
      `note: ${name} judges as it does without options; where your application gives it some, name its engines with --engines FILE\n`,
    )
  })
  if (file === undefined) return own
  const given = await load(`serin ${verb}: --engines ${file}`, resolve(cwd, file))
  return [...given, ...own.filter(({ name }) => !given.some((one) => one.name === name))]
}

async function load(flag: string, path: string): Promise<readonly Engine[]> {
  let module: { readonly default?: unknown; readonly engines?: unknown }
  try {
    module = (await import(pathToFileURL(path).href)) as typeof module
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === "ERR_MODULE_NOT_FOUND" || code === "ENOENT" ? "is not there, or imports what is not" : "fails"
    const fix = path.endsWith("ts") ? "; it must be JavaScript" : ""
    throw usage(`${flag} ${why}: ${errorText(error)}${fix}`)
  }
  const engines = module.default ?? module.engines
  try {
    checkEngines(engines as readonly Engine[])
    return engines as readonly Engine[]
  } catch (error) {
    const why = error instanceof Error ? error.message.replace("options.engines", "its default export") : ""
    throw usage(`${flag}: ${why}; write \`export default [cedarEngine({ … })]\``)
  }
}
