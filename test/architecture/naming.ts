const VAGUE = new Set(["utils", "util", "helpers", "helper", "types", "common", "misc", "shared"])

/** Check a source file's name and length. `published` are the entries of package.json, the only `index.ts` there are. */
export function fileViolations(path: string, lines: number, published: ReadonlySet<string>): string[] {
  const problems: string[] = []
  const names = path
    .replace(/^src\//, "")
    .replace(/(\.d)?\.ts$/, "")
    .split("/")
  const notKebab = names.find((name) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name))
  if (notKebab !== undefined) problems.push(`${path}: "${notKebab}" is not kebab-case`)
  const vague = names.find((name) => VAGUE.has(name))
  if (vague !== undefined) problems.push(`${path}: "${vague}" names no noun; call it what it is about`)
  if (names.at(-1) === "index" && !published.has(path)) problems.push(`${path}: only a published entry is an index.ts`)
  if (lines > 400) problems.push(`${path}: ${lines} lines; above 400 a file has more than one noun`)
  return problems
}
