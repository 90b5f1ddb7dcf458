import { bashCompletion } from "./completion/bash.js"
import { fishCompletion } from "./completion/fish.js"
import { zshCompletion } from "./completion/zsh.js"
import { defineCommand, usage, type Command, type DefinedCommand } from "./command.js"
import { EXIT } from "./exit-code.js"

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }
const NAMES = Object.keys(SHELLS) as (keyof typeof SHELLS)[]

/** Make the command that writes the completion of all commands, itself among them. */
export const completionCommand = (commands: () => Promise<readonly Command[]>): DefinedCommand =>
  defineCommand({
    operand: NAMES.join("|"),
    notes: [
      "bash: `source <(serin completion bash)` in ~/.bashrc. zsh: `source <(serin completion zsh)` in ~/.zshrc, after compinit.",
      "fish: `serin completion fish > ~/.config/fish/completions/serin.fish`.",
    ],
    example: "source <(serin completion bash)",
    flags: {},
    async run({ operands, io }) {
      const [given] = operands
      if (given === undefined) throw usage("serin completion: SHELL is missing: bash, zsh or fish")
      const shell = NAMES.find((name) => name === given)
      if (shell === undefined)
        throw usage(`serin completion: SHELL must be bash or zsh or fish, got ${JSON.stringify(given)}`)
      io.stdout.write(SHELLS[shell](await commands()))
      return EXIT.ok
    },
  })
