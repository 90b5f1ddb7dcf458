import { keyPairCommand } from "./key-pair.js"

export const releaseKeygenCommand = keyPairCommand({
  example: "serin release keygen release-key",
  keep: "keep it off the machines that run the application",
  goes: "goes into trustedKeys",
})
