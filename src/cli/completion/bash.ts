import type { Command } from "../command.js"
import { firstWords, lastWord, operandsOf, single, wantedBy, type Wanted } from "./words.js"

/** Write the completion for bash, from 3.2 on. */
export function bashCompletion(commands: readonly Command[]): string {
  const groups = firstWords(commands).filter(({ children }) => children.length > 0)
  return `# Completes serin in bash: source <(serin completion bash)
_serin() {
  local IFS=$' \\t\\n' cur prev verb wanted='' operands='' flags='' valued='' first=2 place=0 i
  COMPREPLY=()
  cur=\${COMP_WORDS[COMP_CWORD]}
  prev=\${COMP_WORDS[COMP_CWORD-1]}
  # \`--to=next\` comes as three words.
  if [[ $cur == = ]]; then
    cur=''
  elif [[ $prev == = ]]; then
    prev=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W ${single(`${topWords(commands)} help --help --version`)} -- "$cur"))
    return
  fi
  verb=\${COMP_WORDS[1]}
  if [[ $verb == help ]]; then
    if [[ $COMP_CWORD -eq 2 ]]; then
      COMPREPLY=($(compgen -W ${single(topWords(commands))} -- "$cur"))
      return
    fi
    verb=\${COMP_WORDS[2]}
    first=3
  fi
  case $verb in
${groups.map(({ word, children }) => group(word, children)).join("\n")}
  esac
  [[ \${COMP_WORDS[1]} == help ]] && return
  case $verb in
${commands.map(command).join("\n")}
  *) return ;;
  esac
  case "$verb $prev" in
${commands.flatMap(values).join("\n")}
  esac
  if [[ -z $wanted && $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    return
  fi
  if [[ -z $wanted ]]; then
    for ((i = first; i < COMP_CWORD; i++)); do
      case \${COMP_WORDS[i]} in
      =) ((i++)) ;;
      -*) [[ " $valued " == *" \${COMP_WORDS[i]} "* && \${COMP_WORDS[i+1]} != = ]] && ((i++)) ;;
      *) ((place++)) ;;
      esac
    done
    IFS=';' read -r -a operands <<<"$operands"
    wanted=\${operands[place]}
  fi
  local IFS=$'\\n'
  case $wanted in
  files)
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$cur"))
    ;;
  directories)
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -d -- "$cur"))
    ;;
  words:*)
    local IFS=' '
    COMPREPLY=($(compgen -W "\${wanted#words:}" -- "$cur" | tr '\\n' ' '))
    ;;
  esac
}
complete -F _serin serin
`
}

const topWords = (commands: readonly Command[]): string =>
  firstWords(commands)
    .map(({ word }) => word)
    .join(" ")

function group(word: string, children: readonly Command[]): string {
  return `  ${word})
    if [[ $COMP_CWORD -eq $first ]]; then
      COMPREPLY=($(compgen -W ${single(children.map(lastWord).join(" "))} -- "$cur"))
      return
    fi
    verb="$verb \${COMP_WORDS[first]}"
    ((first++))
    ;;`
}

function command(one: Command): string {
  const flags = [...Object.keys(one.flags).map((flag) => `--${flag}`), "--help"]
  const valued = Object.entries(one.flags).flatMap(([flag, { type }]) => (type === "string" ? [`--${flag}`] : []))
  const operands = operandsOf(one).map(({ wanted }) => kindOf(wanted))
  return `  ${single(one.name)})
    flags=${single(flags.join(" "))}
    valued=${single(valued.join(" "))}
    operands=${single(operands.join(";"))}
    ;;`
}

const values = ({ name, flags }: Command): string[] =>
  Object.entries(flags).flatMap(([flag, { value }]) =>
    value === undefined ? [] : [`  ${single(`${name} --${flag}`)}) wanted=${single(kindOf(wantedBy(value)))} ;;`],
  )

const kindOf = (wanted: Wanted): string => (wanted.kind === "words" ? `words:${wanted.words.join(" ")}` : wanted.kind)
