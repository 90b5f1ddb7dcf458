import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { readApi } from "../../scripts/api.js"
import { differenceOf } from "../../scripts/difference.js"

describe("the report of an API", () => {
  let dist: string
  beforeEach(() => {
    dist = mkdtempSync(join(tmpdir(), "serin-api-"))
  })
  afterEach(() => rmSync(dist, { recursive: true, force: true }))

  /** A package of two entries whose shared file has this name. */
  function built(shared: string, differs: { readonly port?: string; readonly main?: string } = {}) {
    const port = `/** Where it lives. */\ninterface Store<T> { /** Read it. */ get(key: string): Promise<T> }\ninterface Hidden { readonly a: 1 }`
    const files = {
      [`${shared}.d.ts`]: `import { Meter as Meter$1 } from "otel";\nconst KINDS: readonly ["a", "b"];\n/** Of what kind. */\ntype Kind = (typeof KINDS)[number];\n${differs.port ?? port}\nexport type { Store as S, Kind as K, Hidden as H, Meter$1 as M };`,
      "index.d.ts": `export { S as Store, K as Kind } from "./${shared}.js";\nimport { S, M } from "./${shared}.js";\nimport { Meter } from "otel";\n${differs.main ?? "/** Make it. */"}\nexport declare function make<T>(meter: Meter, store?: S<T>): void;`,
      "redis.d.ts": `import { S } from "./${shared}.js";\nexport { S as Store } from "./${shared}.js";\n/** Make a store. */\nexport declare const redisStore: (url: string) => S<string>;`,
    }
    for (const [file, text] of Object.entries(files)) writeFileSync(join(dist, file), text)
    return readApi([
      { name: "serin", types: join(dist, "index.d.ts") },
      { name: "serin/redis", types: join(dist, "redis.d.ts") },
    ])
  }

  it("has every declaration by its published name, without comments, whatever files share it and whatever they call it", () => {
    const { texts, complaints } = built("chunk-A1")
    expect(complaints).toEqual([])
    const main = texts.get("serin")!
    expect(main).toContain("export interface Store<T> {\n    get(key: string): Promise<T>;\n}")
    expect(main).toContain('export type Kind = "a" | "b";')
    expect(main).toContain('export function make<T>(meter: import("otel").Meter, store?: Store<T>): void;')
    expect(main).not.toContain("Read it")
    expect(texts.get("serin/redis")).toContain('export { Store } from "serin"')
    expect(texts.get("serin/redis")).toContain("export const redisStore: (url: string) => Store<string>;")
    expect([...built("chunk-B2").texts]).toEqual([...texts])
  })

  it("changes with what is declared, and complains of an export that says nothing of itself", () => {
    const { texts, complaints } = built("chunk", {
      main: "",
      port: "/** Where it lives. */\ninterface Store<T> { get(key: number): Promise<T> }\ninterface Hidden { readonly a: 1 }",
    })
    expect(texts.get("serin")).toContain("get(key: number)")
    expect(complaints).toEqual(["serin: make has no docstring: say what it is, or does"])
  })

  it("complains of a type that an export needs and nobody can name", () => {
    const port =
      "interface Hidden { readonly a: 1 }\n/** Where it lives. */\ninterface Store<T> { get(key: Hidden): T }"
    expect(built("chunk", { port }).complaints).toEqual([
      "serin: Store needs Hidden, which no entry exports: export it there",
    ])
  })
})

describe("a difference of two texts", () => {
  it("is the lines that went and came, and two before them", () => {
    const before = "a\nb\nc\nd\ne"
    expect(differenceOf(before, "a\nb\nc\nX\nY\ne")).toBe("  b\n  c\n- d\n+ X\n+ Y")
    expect(differenceOf(before, "a\nb\nc\nd\ne\nf")).toBe("  d\n  e\n+ f")
  })

  it("is short, however much differs", () => {
    const many = Array.from({ length: 100 }, (_, i) => `line ${i}`).join("\n")
    const lines = differenceOf("", many).split("\n")
    expect(lines.length).toBeLessThan(20)
    expect(lines.at(-1)).toBe("+ … 88 more lines")
  })
})
