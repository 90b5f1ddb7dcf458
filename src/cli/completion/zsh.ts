import type { Command } from "../command.js"
import { firstWords, lastWord, operandsOf, single, wantedBy, type Wanted } from "./words.js"

/** Write the completion for zsh: to be sourced, or kept as `_serin` in a folder of `$fpath`. */
export function zshCompletion(commands: readonly Command[]): string {
  const words = firstWords(commands)
  const groups = words.filter(({ children }) => children.length > 0)
  return `#compdef serin
# Completes serin in zsh: source <(serin completion zsh)
_serin() {
  local -a verbs
  local verb
  verbs=(
${words.map(({ word, summary }) => `    ${described(word, summary)}`).join("\n")}
  )
  if (( CURRENT == 2 )); then
    verbs+=('help:Say more of a command')
    _describe -t commands 'command of serin' verbs
    return
  fi
  verb=$words[2]
  if [[ $verb == help ]]; then
    if (( CURRENT == 3 )); then
      _describe -t commands 'command of serin' verbs
      return
    fi
    shift words
    (( CURRENT-- ))
    verb=$words[2]
    # What follows is told, and takes nothing more.
    [[ $verb == (${groups.map(({ word }) => word).join("|")}) ]] && (( CURRENT == 3 )) || return
  fi
  shift words
  (( CURRENT-- ))
  case $verb in
${groups.map(({ word, children }) => group(word, children)).join("\n")}
  esac
  case $verb in
${commands.map(command).join("\n")}
  esac
}
if [[ $funcstack[1] == _serin ]]; then
  _serin "$@"
else
  compdef _serin serin
fi
`
}

/** `word:what it is`. */
const described = (word: string, summary: string): string => single(`${word}:${summary}`)

function group(word: string, children: readonly Command[]): string {
  return `  ${word})
    if (( CURRENT == 2 )); then
      verbs=(
${children.map((child) => `        ${described(lastWord(child), child.summary)}`).join("\n")}
      )
      _describe -t commands 'command of serin ${word}' verbs
      return
    fi
    verb="$verb $words[2]"
    shift words
    (( CURRENT-- ))
    ;;`
}

function command(one: Command): string {
  const flags = Object.entries(one.flags).map(([flag, { value, text }]) => {
    const what = `[${text.replace(/[[\]\\]/g, "\\$&")}]`
    return value === undefined ? `--${flag}${what}` : `--${flag}=${what}:${value}:${action(wantedBy(value))}`
  })
  const operands = operandsOf(one).map(({ name, wanted }, i) => `${i + 1}:${name}:${action(wanted)}`)
  const all = [...flags, "--help[show all flags]", ...operands].map((spec) => ` \\\n      ${single(spec)}`)
  return `  ${single(one.name)})
    _arguments${all.join("")}
    ;;`
}

function action(wanted: Wanted): string {
  switch (wanted.kind) {
    case "words":
      return `(${wanted.words.join(" ")})`
    case "files":
      return "_files"
    case "directories":
      return "_files -/"
    case "anything":
      return " "
  }
}
