import { z } from "zod"
import { REPORT_SCHEMA } from "../operate/stored-report.js"
import { SPEC_SCHEMA, STATE_SCHEMA, VERDICT_SCHEMA } from "../rollout/state-schema.js"
import { FAILURE, PHASE, type Answers } from "./answer.js"
import { defineCommand, usage, type Command, type DefinedCommand } from "./command.js"
import { EXIT } from "./exit-code.js"
import { nearest } from "../model/nearest.js"

/** Make the command that writes the schema of what all commands answer. */
export const schemaCommand = (commands: () => Promise<readonly Command[]>): DefinedCommand =>
  defineCommand({
    operand: "[FORMAT]",
    notes: [
      "FORMAT is the `format` of a document, or the name of a command. All of it: docs/reference/cli.schema.json.",
    ],
    example: "serin schema serin/status/1",
    flags: {},
    async run({ operands: [asked], io }) {
      const all = await commands()
      const documents = documentsOf(all)
      const schema = asked === undefined ? wholeSchema(documents) : find(asked)
      io.stdout.write(`${JSON.stringify(schema, null, 2)}\n`)
      return EXIT.ok

      function find(name: string): object {
        const format = all.find((command) => command.name === name)?.answers?.format ?? name
        const found = documents.get(format)
        if (found !== undefined) return jsonSchema(found.schema)
        const near = nearest(format, [...documents.keys()])
        const fix = near === undefined ? `there are ${[...documents.keys()].join(", ")}` : `did you mean ${near}?`
        throw usage(`serin schema: there is no format ${JSON.stringify(name)}; ${fix}`)
      }
    },
  })

/** All that a command writes with `--json`. */
export const answersOf = ({ answers, moreAnswers = [] }: Command): readonly Answers[] =>
  answers === undefined ? [] : [answers, ...moreAnswers]

/** Every document by its format. */
export function documentsOf(commands: readonly Command[]): ReadonlyMap<string, Answers> {
  const all = [FAILURE, ...commands.flatMap(answersOf)]
  return new Map(all.map((one) => [one.format, one]))
}

/** What stands in several documents, by the name that it has in the schema. */
const PARTS = { state: STATE_SCHEMA, spec: SPEC_SCHEMA, verdict: VERDICT_SCHEMA, report: REPORT_SCHEMA, phase: PHASE }

function wholeSchema(documents: ReadonlyMap<string, Answers>): object {
  const all = [...documents.values()]
  const names = z.registry<{ id: string }>()
  for (const { format, schema } of all) names.add(schema, { id: format.replaceAll("/", "-") })
  return {
    title: "What the command serin writes with --json",
    ...jsonSchema(z.union(all.map(({ schema }) => schema)), names),
  }
}

/** Open for fields that are added later, though what is written is checked for each field. */
function jsonSchema(schema: z.ZodType, names = z.registry<{ id: string }>()): object {
  for (const [id, part] of Object.entries(PARTS)) names.add(part, { id })
  return z.toJSONSchema(schema, {
    io: "input",
    metadata: names,
    override: ({ jsonSchema }) => {
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties
    },
  })
}
