// Writes the tables of docs/reference/adapters.md from what the tests of the adapters find: `npm run docs:adapters`, on a Node.js that has the
// frameworks of test/frameworks (`npm ci --prefix test/frameworks`). Where one is missing, its row stays as it stands, and that is said.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { BEHAVIOURS, FRAMEWORKS, meaningTable, PAGE, resultsTable, rowsOf } from "../test/adapters/behaviours.js"
import type { FoundRow } from "../test/adapters/behaviours.js"
import { readPage, tableRows } from "../test/docs/pages.js"
import { runStep } from "./run-step.js"

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly meta?: { readonly adapter?: FoundRow } }[]
  }[]
}

const root = fileURLToPath(new URL("..", import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), "serin-adapters-"))
try {
  const report = join(scratch, "report.json")
  const vitest = [process.execPath, join(root, "node_modules/vitest/vitest.mjs"), "run"] as const
  const tests = ["test/adapters", "test/frameworks", "-t", "the adapter contract"]
  // It fails where the page is not yet what was found.
  const { output } = await runStep([...vitest, ...tests, "--reporter=json", `--outputFile=${report}`], {
    cwd: root,
    env: process.env,
    show: false,
  })
  if (!existsSync(report)) throw new Error(`the tests did not run: ${output}`)
  const { testResults } = JSON.parse(readFileSync(report, "utf8")) as Report
  const ran = testResults.flatMap(({ assertionResults }) => assertionResults.flatMap(({ meta }) => meta?.adapter ?? []))
  const broken = ran.filter(({ found }) => Object.keys(found).length < Object.keys(BEHAVIOURS).length)
  if (broken.length > 0) {
    throw new Error(`the contract does not hold in ${broken.map(({ framework }) => framework).join(", ")}: npm test`)
  }

  const page = readPage(PAGE)
  const rows = rowsOf(tableRows(page))
  for (const { framework, found } of ran) rows.set(framework, found)
  const missing = FRAMEWORKS.filter((framework) => !ran.some((row) => row.framework === framework))
  if (missing.length > 0) console.warn(`not tried here, so as it stands: ${missing.join(", ")}`)

  const [before, , after] = page.text.split(/^(\| framework \|[\s\S]*?^\| behaviour \|(?:.*\n\|)*.*$)/m)
  if (before === undefined || after === undefined) throw new Error(`docs/${PAGE} has lost its tables`)
  writeFileSync(join(root, "docs", PAGE), `${before}${resultsTable(rows)}\n\n${meaningTable()}${after}`)
  console.log(`docs/${PAGE}: ${ran.length} rows written`)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
