import { keyPairCommand } from "./key-pair.js"

export const keygenCommand = keyPairCommand({
  example: "serin keygen state-key",
  keep: "for the controller and for people who run serin (--state-key); it is not the release key",
  goes: "goes into trustedKeys of trustedStore() and signedStore(), and into --trusted-keys",
})
