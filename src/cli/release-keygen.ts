import { defineCommand, JSON_FLAG, operandAt } from "./command.js"
import { KEYGEN_NOTES, writeKeyPair } from "./key-pair.js"

const USE = {
  verb: "release keygen",
  keep: "keep it off the machines that run the application",
  goes: "goes into trustedKeys",
}

export const releaseKeygenCommand = defineCommand({
  name: "release keygen",
  summary: "Make a key pair to sign releases with",
  operand: "FILE",
  notes: KEYGEN_NOTES,
  example: "serin release keygen release-key",
  flags: { ...JSON_FLAG },
  run: async (invocation) => writeKeyPair(operandAt(invocation.operands, 0, USE.verb, "FILE"), USE, invocation),
})
