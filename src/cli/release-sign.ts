import type { KeyObject } from "node:crypto"
import { join } from "node:path"
import { packTree } from "../release/pack.js"
import { addSignature } from "../release/sign.js"
import { SIGNATURES, treeFile } from "../release/tree.js"
import { z } from "zod"
import { answers } from "./answer.js"
import { defineCommand, JSON_FLAG, operandAt, usage } from "./command.js"
import { EXIT } from "./exit-code.js"
import type { Io } from "./io.js"
import type { Printer } from "./printer.js"
import { readPrivateKeys } from "./private-key.js"
import { compileTree, openAt, treeOf } from "./release-read.js"
import { writeOver } from "./write-new.js"

export const releaseSignCommand = defineCommand({
  operand: "RELEASE",
  notes: [
    "Writes release.dsse.json into it. Signatures of other files or another version are dropped: they are void.",
    "$SERIN_KEY_PASSPHRASE opens an encrypted key.",
  ],
  example: "serin release sign safety/releases/1.5.0.tgz --key release-key",
  flags: {
    key: { type: "string", value: "FILE", text: "the private key: Ed25519, PEM" },
    ...JSON_FLAG,
  },
  answers: answers(
    "serin/release-sign/1",
    z.object({
      release: z.string(),
      version: z.string(),
      digest: z.string(),
      keyid: z.string(),
      signatures: z.int(),
      /** Signatures of something else. */
      dropped: z.int(),
    }),
  ),
  async run({ values, operands, io, out }) {
    const shown = operandAt(operands, 0, "release sign", "RELEASE")
    const key = readKey(values.key, io, out)
    const opened = await openAt(shown, io)
    const tree = await treeOf(opened)
    compileTree(tree) // nobody should put a name to rules that no process can load
    const { version } = tree.manifest
    const added = addSignature(opened.signatures?.text ?? null, { version, digest: tree.digest }, key)
    if (opened.from.all === null) {
      await writeOver(
        join(opened.path, SIGNATURES),
        added.text,
        `serin release sign: ${join(opened.shown, SIGNATURES)}`,
      )
    } else {
      const file = treeFile(SIGNATURES, SIGNATURES, Buffer.from(added.text))
      await writeOver(
        opened.path,
        await packTree([...tree.files, ...(file === null ? [] : [file])]),
        `serin release sign: ${opened.shown}`,
      )
    }
    const { keyid, signatures, dropped } = added
    if (values.json) {
      out.json({ release: shown, version, digest: tree.digest, keyid, signatures, dropped })
      return EXIT.ok
    }
    out.line({ text: version, style: "bold" }, `  ${tree.digest}`)
    out.line(`  signed with key ${keyid}; ${count(signatures)} in ${shown}`)
    if (dropped > 0) out.line(`  dropped ${count(dropped)}, which were of something else`)
    return EXIT.ok
  },
})

const count = (signatures: number): string => `${signatures} signature${signatures === 1 ? "" : "s"}`

function readKey(shown: string | undefined, io: Io, out: Printer): KeyObject {
  if (shown === undefined) throw usage("serin release sign: --key is missing; `serin release keygen` makes one")
  const { keys, isOpen } = readPrivateKeys("serin release sign: --key", shown, io)
  const [key] = keys
  if (key === undefined || keys.length > 1)
    throw usage(`serin release sign: --key ${shown} must hold one key; sign with one after the other`)
  if (isOpen) out.note(`note: others may read ${shown}; \`chmod 600\` keeps it to you`)
  return key
}
