/** Read bytes as the very text that they are: a mark at its begin is a part of it. Throws `TypeError` for what is no UTF-8. */
export const textIn = (bytes: Uint8Array): string =>
  new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
