import ts from "typescript"

/** List what a declaration refers to by name, but for its own type parameters and what is of another package or of the language. */
export function referencesIn(node: ts.Node, checker: ts.TypeChecker): readonly ts.Symbol[] {
  const found = new Set<ts.Symbol>()
  const visit = (child: ts.Node): void => {
    const symbol = ts.isIdentifier(child) ? symbolOf(child, checker) : undefined
    if (symbol !== undefined && isOwn(symbol)) found.add(symbol)
    // A list of words is written out: nobody needs its constant.
    if (!ts.isTypeQueryNode(child)) ts.forEachChild(child, visit)
  }
  visit(node)
  return [...found]
}

/**
 * Print a declaration as `name`, without comments: what it refers to by the names under which that is published, types of other packages as
 * `import("…").Name`, and words that are listed in a constant as the words.
 */
export function printDeclaration(
  node: ts.Declaration,
  name: string,
  checker: ts.TypeChecker,
  nameOf: (symbol: ts.Symbol) => string,
): string {
  const rename: ts.TransformerFactory<ts.Node> = (context) => (top) => {
    const visit = (child: ts.Node): ts.Node => {
      const words = wordsOf(child, checker)
      if (words !== undefined) return ts.factory.createUnionTypeNode(words.map(wordNode))
      if (!ts.isIdentifier(child)) return ts.visitEachChild(child, visit, context)
      if (child === ts.getNameOfDeclaration(node)) return ts.factory.createIdentifier(name)
      const symbol = symbolOf(child, checker)
      return symbol === undefined ? child : ts.factory.createIdentifier(foreignName(symbol) ?? nameOf(symbol))
    }
    return ts.visitNode(top, visit)
  }
  // A constant is declared within a statement, which says that it is one.
  const whole = ts.isVariableDeclaration(node) ? node.parent.parent : node
  const [transformed] = ts.transform(whole, [rename]).transformed
  const printer = ts.createPrinter({ removeComments: true, newLine: ts.NewLineKind.LineFeed })
  const text = printer.printNode(ts.EmitHint.Unspecified, transformed!, node.getSourceFile())
  return `export ${text.replace(/^(export )?(declare )?/, "")}`
}

/** What a name stands for that is imported or exported. What is of another package is not looked up. */
export function originalOf(symbol: ts.Symbol, checker: ts.TypeChecker): ts.Symbol {
  const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0 && foreignName(symbol) === undefined
  return isAlias ? checker.getAliasedSymbol(symbol) : symbol
}

/** What an identifier refers to; undefined where it declares something, or names a property. */
function symbolOf(id: ts.Identifier, checker: ts.TypeChecker): ts.Symbol | undefined {
  const { parent } = id
  const refers =
    (ts.isTypeReferenceNode(parent) && parent.typeName === id) ||
    (ts.isExpressionWithTypeArguments(parent) && parent.expression === id) ||
    (ts.isTypeQueryNode(parent) && parent.exprName === id)
  const symbol = refers ? checker.getSymbolAtLocation(id) : undefined
  return symbol && originalOf(symbol, checker)
}

/** `import("…").Name` of what is imported from another package. */
function foreignName(symbol: ts.Symbol): string | undefined {
  const declaration = symbol.declarations?.[0]
  if (declaration === undefined || !ts.isImportSpecifier(declaration)) return undefined
  const from = declaration.parent.parent.parent.moduleSpecifier as ts.StringLiteral
  if (from.text.startsWith(".")) return undefined
  return `import("${from.text}").${(declaration.propertyName ?? declaration.name).text}`
}

function isOwn(symbol: ts.Symbol): boolean {
  const file = symbol.declarations?.[0]?.getSourceFile()
  const isLanguage = file === undefined || /\/lib\.[\w.]+\.d\.ts$/.test(file.fileName)
  return !isLanguage && foreignName(symbol) === undefined && !(symbol.flags & ts.SymbolFlags.TypeParameter)
}

/** The words of `(typeof WORDS)[number]` and of `typeof WORD`, as the constant lists them; undefined for any other type. */
function wordsOf(node: ts.Node, checker: ts.TypeChecker): readonly string[] | undefined {
  const isIndexed = ts.isIndexedAccessTypeNode(node) && node.indexType.kind === ts.SyntaxKind.NumberKeyword
  const inner = isIndexed ? node.objectType : node
  const query = ts.isParenthesizedTypeNode(inner) ? inner.type : inner
  if (!ts.isTypeQueryNode(query) || !ts.isIdentifier(query.exprName)) return undefined
  const constant = symbolOf(query.exprName, checker)?.valueDeclaration
  if (constant === undefined || !ts.isVariableDeclaration(constant)) return undefined
  const { type = constant.initializer } = constant
  const list = type !== undefined && ts.isTypeOperatorNode(type) ? type.type : type
  const parts: readonly (ts.Node | undefined)[] =
    list !== undefined && ts.isTupleTypeNode(list) ? list.elements : [list]
  const words = parts.map((part) => {
    const literal = part !== undefined && ts.isLiteralTypeNode(part) ? part.literal : part
    return literal !== undefined && ts.isStringLiteral(literal) ? literal.text : undefined
  })
  return words.every((word) => word !== undefined) ? words : undefined
}

const wordNode = (word: string): ts.LiteralTypeNode =>
  ts.factory.createLiteralTypeNode(ts.factory.createStringLiteral(word))
