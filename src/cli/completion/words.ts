import type { Command } from "../command.js"

/** What may stand in a place of the command line: one of some words, a path, or what nobody can guess. */
export type Wanted =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "files" }
  | { readonly kind: "directories" }
  | { readonly kind: "anything" }

/** Read it off the word that stands for the value in the help: `PATH`, `DIR`, `next|end`. */
export function wantedBy(value: string): Wanted {
  if (value.includes("|")) return { kind: "words", words: value.split("|") }
  if (value === "DIR") return { kind: "directories" }
  return { kind: FILES.has(value) ? "files" : "anything" }
}

/** A store and a release may be something else as well: an address, a version. */
const FILES: ReadonlySet<string> = new Set(["FILE", "PATH", "STORE", "RELEASE", "OLD", "NEW"])

/** What a command takes after its name, in order. */
export const operandsOf = ({ operand }: Command): readonly { readonly name: string; readonly wanted: Wanted }[] =>
  (operand ?? "").split(" ").flatMap((word) => {
    const name = word.replace(/^\[|\]$/g, "")
    return name === "" ? [] : [{ name, wanted: wantedBy(name) }]
  })

/** The first words of commands, each once; `children` are the second words of a group. */
export function firstWords(
  commands: readonly Command[],
): readonly { readonly word: string; readonly summary: string; readonly children: readonly Command[] }[] {
  const words = [...new Set(commands.map(({ name }) => name.split(" ")[0] ?? ""))]
  return words.map((word) => {
    const children = commands.filter(({ name }) => name.startsWith(`${word} `))
    const summary = commands.find(({ name }) => name === word)?.summary
    return { word, children, summary: summary ?? children.map(lastWord).join(", ") }
  })
}

export const lastWord = ({ name }: Pick<Command, "name">): string => name.split(" ").at(-1) ?? ""

/** Write a text as a shell reads it, whatever it holds. */
export const single = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
