import { defineCommand, JSON_FLAG, operandAt } from "./command.js"
import { KEYGEN_NOTES, writeKeyPair } from "./key-pair.js"

const USE = {
  verb: "keygen",
  keep: "for the controller and for people who run serin (--state-key); it is not the release key",
  goes: "goes into trustedKeys of trustedStore() and signedStore(), and into --trusted-keys",
}

export const keygenCommand = defineCommand({
  name: "keygen",
  summary: "Make a key pair to sign state with",
  operand: "FILE",
  notes: KEYGEN_NOTES,
  example: "serin keygen state-key",
  flags: { ...JSON_FLAG },
  run: async (invocation) => writeKeyPair(operandAt(invocation.operands, 0, USE.verb, "FILE"), USE, invocation),
})
