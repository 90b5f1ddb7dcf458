import ts from "typescript"

/** One change of one place in the source. */
export interface Mutant {
  readonly id: number
  readonly file: string
  readonly line: number
  /** The line as it stands, without indentation. */
  readonly source: string
  readonly from: string
  readonly to: string
}

/**
 * What instrumented code asks: `$.on` is the id of the mutant in force, −1 for none; `$.hit`, where there is one, is told of
 * the mutants that are reached.
 */
export const SWITCH = "$"

const KIND = ts.SyntaxKind

const BINARY: Partial<Record<ts.SyntaxKind, readonly ts.BinaryOperator[]>> = {
  [KIND.LessThanToken]: [KIND.LessThanEqualsToken, KIND.GreaterThanEqualsToken],
  [KIND.LessThanEqualsToken]: [KIND.LessThanToken, KIND.GreaterThanToken],
  [KIND.GreaterThanToken]: [KIND.GreaterThanEqualsToken, KIND.LessThanEqualsToken],
  [KIND.GreaterThanEqualsToken]: [KIND.GreaterThanToken, KIND.LessThanToken],
  [KIND.EqualsEqualsEqualsToken]: [KIND.ExclamationEqualsEqualsToken],
  [KIND.ExclamationEqualsEqualsToken]: [KIND.EqualsEqualsEqualsToken],
  [KIND.PlusToken]: [KIND.MinusToken],
  [KIND.MinusToken]: [KIND.PlusToken],
  [KIND.AsteriskToken]: [KIND.SlashToken],
  [KIND.SlashToken]: [KIND.AsteriskToken],
  [KIND.PercentToken]: [KIND.AsteriskToken],
  [KIND.AsteriskAsteriskToken]: [KIND.AsteriskToken],
  [KIND.AmpersandAmpersandToken]: [KIND.BarBarToken],
  [KIND.BarBarToken]: [KIND.AmpersandAmpersandToken],
  [KIND.PlusEqualsToken]: [KIND.MinusEqualsToken],
  [KIND.MinusEqualsToken]: [KIND.PlusEqualsToken],
  [KIND.AsteriskEqualsToken]: [KIND.SlashEqualsToken],
  [KIND.SlashEqualsToken]: [KIND.AsteriskEqualsToken],
}

/** Methods for others of the same form. */
const METHODS: Readonly<Record<string, string>> = {
  min: "max",
  max: "min",
  floor: "ceil",
  ceil: "floor",
  round: "floor",
  log1p: "log",
  expm1: "exp",
  some: "every",
  every: "some",
}

/** Methods that can be left out: the receiver or the argument is of the type of the result. */
const DROPPED = new Set(["filter", "slice", "sort", "toSorted", "reverse", "abs", "sqrt"])

interface Variant {
  readonly node: ts.Expression
  readonly text: string
}

/** Make the transformer that puts every mutant of `file` into the code beside the original. Strings and errors are left alone. */
export function instrument(file: string, mutants: Mutant[]): ts.TransformerFactory<ts.SourceFile> {
  return (context) => (source) => {
    const { factory } = context

    function put(node: ts.Expression, variants: readonly Variant[]): ts.Expression {
      const inside = ts.visitEachChild(node, visit, context)
      if (variants.length === 0) return inside
      const first = mutants.length
      const start = node.getStart(source)
      const { line } = source.getLineAndCharacterOfPosition(start)
      const text = source.text.split("\n")[line]!.trim()
      for (const { text: to } of variants) {
        mutants.push({ id: mutants.length, file, line: line + 1, source: text, from: node.getText(source), to })
      }
      const of = (name: string): ts.Expression =>
        factory.createPropertyAccessExpression(factory.createIdentifier(SWITCH), name)
      const told = factory.createCallChain(of("hit"), factory.createToken(KIND.QuestionDotToken), undefined, [
        factory.createNumericLiteral(first),
        factory.createNumericLiteral(variants.length),
      ])
      const original: ts.Expression = factory.createParenthesizedExpression(factory.createComma(told, inside))
      const chosen = variants.reduceRight<ts.Expression>(
        (otherwise, variant, i) =>
          factory.createConditionalExpression(
            factory.createStrictEquality(of("on"), factory.createNumericLiteral(first + i)),
            undefined,
            factory.createParenthesizedExpression(variant.node),
            undefined,
            otherwise,
          ),
        original,
      )
      return factory.createParenthesizedExpression(chosen)
    }

    const text = (node: ts.Node): string => node.getText(source)
    const constant = (value: boolean): Variant => ({
      node: value ? factory.createTrue() : factory.createFalse(),
      text: String(value),
    })

    function visitCondition(node: ts.Expression, loop: boolean): ts.Expression {
      const forced = loop ? [constant(false)] : [constant(true), constant(false)]
      return put(node, [...forced, ...variantsOf(node)])
    }

    function visit(node: ts.Node): ts.Node {
      if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isThrowStatement(node)) return node
      if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return node
      if (ts.isIfStatement(node)) {
        return factory.updateIfStatement(
          node,
          visitCondition(node.expression, false),
          ts.visitNode(node.thenStatement, visit) as ts.Statement,
          ts.visitNode(node.elseStatement, visit) as ts.Statement | undefined,
        )
      }
      if (ts.isConditionalExpression(node)) {
        return factory.updateConditionalExpression(
          node,
          visitCondition(node.condition, false),
          node.questionToken,
          ts.visitNode(node.whenTrue, visit) as ts.Expression,
          node.colonToken,
          ts.visitNode(node.whenFalse, visit) as ts.Expression,
        )
      }
      if (ts.isForStatement(node)) {
        return factory.updateForStatement(
          node,
          ts.visitNode(node.initializer, visit) as ts.ForInitializer | undefined,
          node.condition && visitCondition(node.condition, true),
          ts.visitNode(node.incrementor, visit) as ts.Expression | undefined,
          ts.visitNode(node.statement, visit) as ts.Statement,
        )
      }
      if (ts.isWhileStatement(node)) {
        return factory.updateWhileStatement(
          node,
          visitCondition(node.expression, true),
          ts.visitNode(node.statement, visit) as ts.Statement,
        )
      }
      if (ts.isPropertyAssignment(node)) {
        return factory.updatePropertyAssignment(node, node.name, ts.visitNode(node.initializer, visit) as ts.Expression)
      }
      return ts.isExpression(node) ? put(node, variantsOf(node)) : ts.visitEachChild(node, visit, context)
    }

    function variantsOf(node: ts.Expression): Variant[] {
      if (ts.isNumericLiteral(node)) return variantsOfNumber(Number(node.text))
      if (node.kind === KIND.TrueKeyword) return [constant(false)]
      if (node.kind === KIND.FalseKeyword) return [constant(true)]
      if (ts.isPrefixUnaryExpression(node)) {
        const { operator, operand } = node
        if (operator === KIND.MinusToken || operator === KIND.ExclamationToken)
          return [{ node: operand, text: text(operand) }]
        if (operator === KIND.PlusPlusToken)
          return [{ node: factory.createPrefixDecrement(operand), text: `--${text(operand)}` }]
        if (operator === KIND.MinusMinusToken)
          return [{ node: factory.createPrefixIncrement(operand), text: `++${text(operand)}` }]
      }
      if (ts.isPostfixUnaryExpression(node)) {
        const down = node.operator === KIND.PlusPlusToken
        const changed = down
          ? factory.createPostfixDecrement(node.operand)
          : factory.createPostfixIncrement(node.operand)
        return [{ node: changed, text: `${text(node.operand)}${down ? "--" : "++"}` }]
      }
      if (ts.isBinaryExpression(node)) return variantsOfBinary(node)
      if (ts.isCallExpression(node)) return variantsOfCall(node)
      return []
    }

    /** A whole number one up and one down, a fraction and what one is nothing to a hundredth up and down. */
    function variantsOfNumber(value: number): Variant[] {
      const values = Number.isSafeInteger(value) ? [value + 1, value - 1] : [value * 1.01, value * 0.99]
      return values.map((changed) => ({
        node:
          changed < 0
            ? factory.createPrefixMinus(factory.createNumericLiteral(-changed))
            : factory.createNumericLiteral(changed),
        text: String(changed),
      }))
    }

    function variantsOfBinary(node: ts.BinaryExpression): Variant[] {
      const { left, operatorToken, right } = node
      const { kind } = operatorToken
      if (kind === KIND.QuestionQuestionToken) return [{ node: left, text: text(left) }]
      if (kind === KIND.PlusToken && [left, right].some(isText)) return []
      return (BINARY[kind] ?? []).map((operator) => ({
        node: factory.createBinaryExpression(left, operator, right),
        text: `${text(left)} ${ts.tokenToString(operator)} ${text(right)}`,
      }))
    }

    function variantsOfCall(node: ts.CallExpression): Variant[] {
      const { expression } = node
      if (!ts.isPropertyAccessExpression(expression) || ts.isOptionalChain(node)) return []
      const { text: name } = expression.name
      const math = text(expression.expression) === "Math"
      const other =
        Object.hasOwn(METHODS, name) && (math || name === "some" || name === "every") ? METHODS[name] : undefined
      if (other !== undefined) {
        const callee = factory.createPropertyAccessExpression(expression.expression, other)
        return [
          {
            node: factory.createCallExpression(callee, undefined, node.arguments),
            text: `${text(callee.expression)}.${other}(…)`,
          },
        ]
      }
      const kept = math ? node.arguments[0] : expression.expression
      return DROPPED.has(name) && kept !== undefined ? [{ node: kept, text: `${text(kept)} without ${name}` }] : []
    }

    return ts.visitEachChild(source, visit, context)
  }
}

function isText(node: ts.Expression): boolean {
  if (ts.isParenthesizedExpression(node)) return isText(node.expression)
  if (ts.isBinaryExpression(node)) return [node.left, node.right].some(isText)
  return ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)
}
