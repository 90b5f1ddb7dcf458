import type { Row } from "./measure.js"

export function tellRows(rows: readonly Row[]): void {
  console.log(
    `${"comparison".padEnd(64)} ${"ratio".padStart(8)}  ${"p10–p90".padStart(15)}  ${"ours".padStart(9)}  ${"theirs".padStart(9)}`,
  )
  for (const row of rows) {
    const spread = `${row.low.toFixed(3)}–${row.high.toFixed(3)}`
    console.log(
      `${row.name.padEnd(64)} ${row.ratio.toFixed(3).padStart(8)}  ${spread.padStart(15)}  ${ns(row.oursNs)}  ${ns(row.theirsNs)}`,
    )
  }
}

export const ns = (value: number): string => `${value.toFixed(0)} ns`.padStart(9)

export const count = (value: number): string => value.toLocaleString("en-US")

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
