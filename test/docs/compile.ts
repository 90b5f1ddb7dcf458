import ts from "typescript"
import type { Block } from "./markdown.js"

/**
 * Compile blocks as TypeScript modules against the sources, in one program. Each block stands alone, as its reader sees
 * it. An answer is `page:line: message`, the line being that of the page.
 *
 * @param root the project's folder, with a trailing `/`
 * @param beside the folder of the package.json that says what they may import, below the root, with a trailing `/`; default the root
 */
export function compileBlocks(root: string, blocks: readonly Block[], beside = ""): string[] {
  // Beside package.json, so that packages resolve and the module is ESM as in a user's project.
  const files = new Map<string, Block>(blocks.map((block, index) => [`${root}${beside}docs-block-${index}.ts`, block]))
  const options = compilerOptions(root)
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  const textOf = (name: string): string | undefined => {
    const block = files.get(name)
    // The last line makes a module of a block that imports nothing, so that `await` may stand at its top.
    return block === undefined ? undefined : `${block.code}\nexport {}\n`
  }
  host.fileExists = (name) => files.has(name) || fileExists.call(host, name)
  host.readFile = (name) => textOf(name) ?? readFile.call(host, name)
  host.getSourceFile = (name, target, ...rest) => {
    const text = textOf(name)
    return text === undefined
      ? getSourceFile.call(host, name, target, ...rest)
      : ts.createSourceFile(name, text, target, true)
  }

  const program = ts.createProgram({ rootNames: [...files.keys()], options, host })
  return [...files].flatMap(([name, block]) => {
    const file = program.getSourceFile(name)
    if (file === undefined) throw new Error(`${name} is not in the program`)
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map((diagnostic) => {
      const { line } = file.getLineAndCharacterOfPosition(diagnostic.start ?? 0)
      return `${block.path}:${block.line + line}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n")}`
    })
  })
}

/** The project's own options, but for names that an excerpt declares for its reader and uses no further. */
function compilerOptions(root: string): ts.CompilerOptions {
  const { config, error } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile)
  if (error !== undefined) throw new Error(ts.flattenDiagnosticMessageText(error.messageText, "\n"))
  const { options } = ts.parseJsonConfigFileContent({ ...(config as object), include: [], files: [] }, ts.sys, root)
  return { ...options, noUnusedLocals: false, noUnusedParameters: false }
}
