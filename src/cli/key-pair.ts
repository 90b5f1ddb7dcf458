import { generateKeyPairSync } from "node:crypto"
import { access } from "node:fs/promises"
import { resolve } from "node:path"
import { keyId } from "../signing/trust.js"
import { KEY_PAIR, type AnswerOf } from "./answer.js"
import { defineCommand, JSON_FLAG, operandAt, usage, type DefinedCommand, type Invocation } from "./command.js"
import { EXIT } from "./exit-code.js"
import { writeNew } from "./write-new.js"

/** What a key pair is for, in words: where the private half is kept, and where the public one goes. */
export interface KeyUse {
  readonly example: string
  readonly keep: string
  readonly goes: string
}

const NOTES = [
  "Writes the private key to FILE, for you alone, and the public one to FILE.pub. Overwrites nothing.",
  "With $SERIN_KEY_PASSPHRASE the private key is encrypted by it.",
]

/** Make the command that makes a key pair for such a use. */
export const keyPairCommand = (use: KeyUse): DefinedCommand =>
  defineCommand({
    operand: "FILE",
    notes: NOTES,
    example: use.example,
    flags: { ...JSON_FLAG },
    answers: KEY_PAIR,
    run: async (invocation) =>
      writeKeyPair(operandAt(invocation.operands, 0, invocation.name, "FILE"), use, invocation),
  })

/** Make an Ed25519 key pair in two files. */
async function writeKeyPair(
  priv: string,
  { keep, goes }: KeyUse,
  { name, values, io, out }: Invocation<typeof JSON_FLAG, AnswerOf<typeof KEY_PAIR>>,
): Promise<number> {
  const pub = `${priv}.pub`
  for (const path of [priv, pub]) {
    const isThere = await access(resolve(io.cwd, path)).then(
      () => true,
      () => false,
    )
    if (isThere) throw usage(`serin ${name}: ${path} is there already; name another file`)
  }
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  const passphrase = io.env["SERIN_KEY_PASSPHRASE"] ?? ""
  const encrypted = passphrase === "" ? {} : { cipher: "aes-256-cbc", passphrase }
  const secret = privateKey.export({ type: "pkcs8", format: "pem", ...encrypted } as { type: "pkcs8"; format: "pem" })
  const shown = `serin ${name}:`
  await writeNew(resolve(io.cwd, priv), secret, { shown: `${shown} ${priv}`, mode: 0o600 })
  await writeNew(resolve(io.cwd, pub), publicKey.export({ type: "spki", format: "pem" }), { shown: `${shown} ${pub}` })
  const id = keyId(publicKey)
  if (values.json) {
    out.json({ privateKey: priv, publicKey: pub, keyid: id, encrypted: passphrase !== "" })
    return EXIT.ok
  }
  out.line(`wrote ${priv}  private${passphrase === "" ? "" : ", encrypted"}: ${keep}`)
  out.line(`wrote ${pub}  public, key ${id}: ${goes}`)
  return EXIT.ok
}
