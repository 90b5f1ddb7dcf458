/** Shorten a text to `most` characters, of which the last says that there were more. No half of a character is left: models and parsers refuse it. */
export const cut = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, most - 1).replace(/[\uD800-\uDBFF]$/, "")}…`
