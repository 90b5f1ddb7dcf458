import { keyPairCommand } from "./key-pair.js"

export const releaseKeygenCommand = keyPairCommand({
  name: "release keygen",
  summary: "Make a key pair to sign releases with",
  example: "serin release keygen release-key",
  keep: "keep it off the machines that run the application",
  goes: "goes into trustedKeys",
})
