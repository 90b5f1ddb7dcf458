import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { pathToFileURL } from "node:url"
import { promisify } from "node:util"

const run = promisify(execFile)

/** How long the import of one entry takes in a fresh process, median, ms. */
interface ImportCost {
  readonly entry: string
  readonly ms: number
  /** The same in an application that has loaded `@opentelemetry/api` already. */
  readonly besideApiMs: number
}

interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, { readonly default: string }>>
}

/** Print what `importCosts()` finds. */
export async function tellImports(times: number): Promise<void> {
  console.log(
    `import of each entry in a fresh process, median of ${times}: alone, and with @opentelemetry/api loaded before`,
  )
  for (const { entry, ms, besideApiMs } of await importCosts(times)) {
    console.log(`${entry.padEnd(32)} ${ms.toFixed(1).padStart(8)} ms ${besideApiMs.toFixed(1).padStart(8)} ms`)
  }
}

/** Import each entry of the built package in processes of its own, one at a time. */
async function importCosts(times: number): Promise<readonly ImportCost[]> {
  const { name, exports } = JSON.parse(readFileSync("package.json", "utf8")) as Manifest
  const costs: ImportCost[] = []
  for (const [subpath, target] of Object.entries(exports)) {
    const url = pathToFileURL(target.default).href
    const [alone, beside]: [number[], number[]] = [[], []]
    for (let i = 0; i < times; i++) {
      alone.push(await importMs(url))
      beside.push(await importMs(url, "@opentelemetry/api"))
    }
    costs.push({ entry: name + subpath.slice(1), ms: median(alone), besideApiMs: median(beside) })
  }
  return costs
}

async function importMs(url: string, before?: string): Promise<number> {
  const first = before === undefined ? "" : `await import(${JSON.stringify(before)});`
  const program = `${first} const at = performance.now(); await import(${JSON.stringify(url)}); console.log(performance.now() - at)`
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program])
  return Number(stdout)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}
