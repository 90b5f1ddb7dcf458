import { posix } from "node:path"
import { isBuiltin } from "node:module"
import ts from "typescript"
import type { UnitRule } from "./import-table.js"

/** A source file: its path from the project's root with `/`, and its text. */
export interface SourceText {
  readonly path: string
  readonly text: string
}

/** One mention of another module. */
export interface Import {
  readonly line: number
  /** Null when it is computed at run time: `import(url)`. */
  readonly specifier: string | null
  /** Erased by the compiler. */
  readonly typeOnly: boolean
}

/** List every import of a file: static, type-only, dynamic, `export from`, `import("x").T` and `require`. */
export function importsOf(source: SourceText): Import[] {
  const file = ts.createSourceFile(source.path, source.text, ts.ScriptTarget.ES2022, true)
  const found: Import[] = []

  function add(node: ts.Node, specifier: ts.Node | undefined, typeOnly: boolean): void {
    const line = file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1
    found.push({ line, specifier: specifier && ts.isStringLiteralLike(specifier) ? specifier.text : null, typeOnly })
  }

  function visit(node: ts.Node): void {
    if (ts.isImportDeclaration(node)) add(node, node.moduleSpecifier, importsOnlyTypes(node.importClause))
    else if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
      add(node, node.moduleSpecifier, node.isTypeOnly || everyIsType(node.exportClause))
    } else if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference)) {
      add(node, node.moduleReference.expression, node.isTypeOnly)
    } else if (ts.isImportTypeNode(node)) {
      add(node, ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined, true)
    } else if (ts.isCallExpression(node) && loadsModule(node.expression)) add(node, node.arguments[0], false)
    ts.forEachChild(node, visit)
  }

  visit(file)
  return found
}

function importsOnlyTypes(clause: ts.ImportClause | undefined): boolean {
  if (clause === undefined) return false
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true
  return clause.name === undefined && everyIsType(clause.namedBindings)
}

function everyIsType(names: ts.NamedImportBindings | ts.NamedExportBindings | undefined): boolean {
  if (names === undefined || !(ts.isNamedImports(names) || ts.isNamedExports(names))) return false
  return names.elements.length > 0 && names.elements.every((e) => e.isTypeOnly)
}

function loadsModule(callee: ts.Expression): boolean {
  return callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === "require")
}

/** Name the unit of a path: `src/guard.ts` and `src/guard/core.ts` are both `guard`. */
export function unitOf(path: string): string {
  const [, first = ""] = path.split("/")
  return first.replace(/\.ts$/, "")
}

/** Check one file's imports against the table. An answer names file, line, rule and what would be allowed. */
export function importViolations(
  source: SourceText,
  table: Readonly<Record<string, UnitRule>>,
  declaredPackages: ReadonlySet<string>,
): string[] {
  const unit = unitOf(source.path)
  const rule = table[unit]
  if (rule === undefined) return [`${source.path}: ${unit} is not in the import table`]
  return importsOf(source).flatMap(({ line, specifier, typeOnly }) => {
    const problem =
      specifier === null
        ? rule.node === true
          ? null
          : `${unit} is pure and may not import what is computed at run time`
        : specifier.startsWith(".")
          ? relativeProblem(source.path, unit, rule, specifier)
          : packageProblem(unit, rule, specifier, typeOnly, declaredPackages)
    return problem === null ? [] : [`${source.path}:${line}: ${problem}`]
  })
}

const OPEN_TO_ALL = ["model", "errors"]

function relativeProblem(from: string, unit: string, rule: UnitRule, specifier: string): string | null {
  if (!specifier.endsWith(".js")) return `"${specifier}" must end in .js`
  const target = posix.join(posix.dirname(from), specifier).replace(/\.js$/, ".ts")
  if (!target.startsWith("src/")) return `"${specifier}" leaves src/`
  const targetUnit = unitOf(target)
  if (targetUnit === unit) return null
  const closed = unit === "model" || unit === "errors"
  const allowed = closed ? [] : [...OPEN_TO_ALL, ...rule.units]
  const file = target.slice("src/".length, -".ts".length)
  if (allowed.includes(targetUnit) || allowed.includes(file)) return null
  if (allowed.includes("*") && targetUnit !== "index") return null
  return `${unit} may not import ${file} (it may import ${allowed.join(", ") || "nothing"})`
}

function packageProblem(
  unit: string,
  rule: UnitRule,
  specifier: string,
  typeOnly: boolean,
  declared: ReadonlySet<string>,
): string | null {
  if (isBuiltin(specifier)) {
    if (!specifier.startsWith("node:")) return `"${specifier}" must be "node:${specifier}"`
    return rule.node === true || (rule.node ?? []).includes(specifier)
      ? null
      : `${unit} is pure and may not import ${specifier}`
  }
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/")
  if (!declared.has(name)) return `${name} is not in dependencies or peerDependencies`
  const packages = rule.packages ?? []
  if (packages.includes(name) || (typeOnly && packages.includes(`type:${name}`))) return null
  const asType = packages.includes(`type:${name}`) ? " but for its types" : ""
  return `${unit} may not import ${name}${asType} (it may import ${packages.join(", ") || "no package"})`
}
