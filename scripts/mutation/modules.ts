import { existsSync, readFileSync } from "node:fs"
import { builtinModules } from "node:module"
import { dirname, relative, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { compileFunction } from "node:vm"
import ts from "typescript"
import { instrument, SWITCH, type Mutant } from "./mutants.js"

/** The mutant in force, and who is told what is reached. */
export interface Switch {
  on: number
  hit: ((first: number, count: number) => void) | undefined
}

type Body = (require: (name: string) => unknown, exports: object, state: Switch) => void

/** Compile the project's modules once, so that they can be evaluated afresh in a millisecond, which constants of modules need. */
export interface Modules {
  readonly mutants: readonly Mutant[]
  /** Compile a file and all that it imports. */
  readonly load: (file: string) => Promise<void>
  /** Evaluate a file and all that it imports, with nothing left from before; `own` stand in for packages. */
  readonly evaluate: (file: string, own: Readonly<Record<string, unknown>>) => void
}

export function modules(root: string, isMutated: (file: string) => boolean, state: Switch): Modules {
  const mutants: Mutant[] = []
  const bodies = new Map<string, Body>()
  const packages = new Map<string, unknown>()

  async function load(file: string): Promise<void> {
    if (bodies.has(file)) return
    const name = relative(root, file)
    const before = isMutated(name) ? [instrument(name, mutants)] : []
    const { outputText } = ts.transpileModule(readFileSync(file, "utf8"), {
      fileName: file,
      transformers: { before },
      compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS, esModuleInterop: false },
    })
    const code = outputText.replaceAll("import.meta.url", JSON.stringify(pathToFileURL(file).href))
    bodies.set(file, compileFunction(code, ["require", "exports", SWITCH], { filename: file }) as Body)
    for (const [, wanted] of code.matchAll(/require\("([^"]+)"\)/g)) {
      const path = pathOf(wanted!, file)
      if (path !== undefined) await load(path)
      else if (!packages.has(wanted!)) packages.set(wanted!, await import(wanted!))
    }
  }

  function pathOf(wanted: string, from: string): string | undefined {
    if (wanted === "serin") return resolve(root, "src/index.ts")
    if (wanted.startsWith("serin/")) {
      const name = wanted.slice("serin/".length)
      return [`src/${name}.ts`, `src/${name}/index.ts`, `src/release/${name}.ts`]
        .map((path) => resolve(root, path))
        .find((path) => existsSync(path))
    }
    if (!wanted.startsWith(".") || builtinModules.includes(wanted)) return undefined
    return resolve(dirname(from), wanted.replace(/\.js$/, ".ts"))
  }

  function evaluate(file: string, own: Readonly<Record<string, unknown>>): void {
    const loaded = new Map<string, object>()
    const enter = (path: string): object => {
      const known = loaded.get(path)
      if (known !== undefined) return known
      const exports = {}
      loaded.set(path, exports)
      const body = bodies.get(path)!
      body(
        (wanted) => {
          const from = pathOf(wanted, path)
          return from === undefined ? (own[wanted] ?? packages.get(wanted)) : enter(from)
        },
        exports,
        state,
      )
      return exports
    }
    enter(file)
  }

  return { mutants, load, evaluate }
}
