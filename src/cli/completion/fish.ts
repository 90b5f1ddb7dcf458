import type { Command } from "../command.js"
import { firstWords, lastWord, operandsOf, wantedBy, type Wanted } from "./words.js"

/** Write the completion for fish. */
export function fishCompletion(commands: readonly Command[]): string {
  const words = firstWords(commands)
  const top = words.map(({ word, summary }) => `complete -c serin -n ${at()} -a ${quote(word)} -d ${quote(summary)}`)
  const help = words.map(({ word, summary }) => {
    return `complete -c serin -n ${at("help")} -a ${quote(word)} -d ${quote(summary)}`
  })
  const second = words.flatMap(({ word, children }) =>
    children.flatMap((child) =>
      [at(word), at("help", word)].map(
        (where) => `complete -c serin -n ${where} -a ${quote(lastWord(child))} -d ${quote(child.summary)}`,
      ),
    ),
  )
  return `# Completes serin in fish: serin completion fish | source
# Whether nothing but these words was typed, and whether these were the first.
function __serin_at
    set -l typed (commandline -opc)
    test "$typed[2..-1]" = "$argv"
end
function __serin_in
    set -l typed (commandline -opc)
    string match -q -- "$argv *" "$typed[2..-1] "
end
complete -c serin -f
${[...top, `complete -c serin -n ${at()} -a help -d 'Say more of a command'`, ...help, ...second].join("\n")}
${commands.flatMap(command).join("\n")}
`
}

const at = (...words: string[]): string => quote(["__serin_at", ...words].join(" "))
/** fish knows two escapes within single quotes. */
const quote = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`

function command(one: Command): string[] {
  const where = `complete -c serin -n ${quote(`__serin_in ${one.name}`)}`
  const flags = Object.entries(one.flags).map(([flag, { value, text }]) => {
    return `${where} -l ${flag}${value === undefined ? "" : ` ${values(wantedBy(value))}`} -d ${quote(text)}`
  })
  const operands = [...new Set(operandsOf(one).map(({ wanted }) => operand(wanted)))].flatMap((words) =>
    words === "" ? [] : [`${where} ${words}`],
  )
  return [...flags, `${where} -l help -d 'show all flags'`, ...operands]
}

/** What follows a flag: `-x` needs a value and offers no files, `-r` needs one. */
function values(wanted: Wanted): string {
  return wanted.kind === "anything" ? "-x" : `${wanted.kind === "files" ? "-r" : "-x"} ${operand(wanted)}`
}

function operand(wanted: Wanted): string {
  switch (wanted.kind) {
    case "words":
      return `-a ${quote(wanted.words.join(" "))}`
    case "files":
      return "-F"
    case "directories":
      return `-a '(__fish_complete_directories)'`
    case "anything":
      return ""
  }
}
