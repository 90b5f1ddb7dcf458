import { generateKeyPairSync } from "node:crypto"
import { access, writeFile } from "node:fs/promises"
import { resolve } from "node:path"
import { SerinError } from "../errors.js"
import { keyId } from "../signing/trust.js"
import { defineCommand, JSON_FLAG, operandAt } from "./command.js"
import { EXIT } from "./exit-code.js"

export const releaseKeygenCommand = defineCommand({
  name: "release keygen",
  summary: "Make a key pair to sign releases with",
  operand: "FILE",
  notes: [
    "Writes the private key to FILE, for you alone, and the public one to FILE.pub. Overwrites nothing.",
    "With $SERIN_KEY_PASSPHRASE the private key is encrypted by it.",
  ],
  example: "serin release keygen release-key",
  flags: { ...JSON_FLAG },
  async run({ values, operands, io, out }) {
    const shown = operandAt(operands, 0, "release keygen", "FILE")
    const [priv, pub] = [shown, `${shown}.pub`]
    for (const path of [priv, pub]) {
      const isThere = await access(resolve(io.cwd, path)).then(
        () => true,
        () => false,
      )
      if (isThere) throw new SerinError("USAGE", `serin release keygen: ${path} is there already; name another file`)
    }
    const { privateKey, publicKey } = generateKeyPairSync("ed25519")
    const passphrase = io.env["SERIN_KEY_PASSPHRASE"] ?? ""
    const encrypted = passphrase === "" ? {} : { cipher: "aes-256-cbc", passphrase }
    const secret = privateKey.export({ type: "pkcs8", format: "pem", ...encrypted } as { type: "pkcs8"; format: "pem" })
    await writeFile(resolve(io.cwd, priv), secret, { flag: "wx", mode: 0o600 })
    await writeFile(resolve(io.cwd, pub), publicKey.export({ type: "spki", format: "pem" }), { flag: "wx" })
    const id = keyId(publicKey)
    if (values.json) {
      out.json({ privateKey: priv, publicKey: pub, keyid: id, encrypted: passphrase !== "" })
      return EXIT.ok
    }
    out.line(
      `wrote ${priv}  private${passphrase === "" ? "" : ", encrypted"}: keep it off the machines that run the application`,
    )
    out.line(`wrote ${pub}  public, key ${id}: goes into trustedKeys`)
    return EXIT.ok
  },
})
