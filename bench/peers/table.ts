import type { PeerRow, Report, SideReport } from "./report.js"

/** The report as Markdown: ratios first, then what they are made of. */
export function tablesOf({ sides, cpu, tail, garbage }: Report): string {
  const ours = [...new Set(cpu.map(({ ours }) => ours))]
  const peers = [...new Set(cpu.map(({ peer }) => peer))]
  const find = (rows: readonly PeerRow[], name: string, peer: string): PeerRow =>
    rows.find((row) => row.ours === name && row.peer === peer)!
  const ratios = [
    row(["beside", ...ours.flatMap((name) => [`${name}: CPU time`, "p99.9", "garbage"])]),
    row(["---", ...ours.flatMap(() => ["--:", "--:", "--:"])]),
    ...peers.map((peer) =>
      row([
        peer,
        ...ours.flatMap((name) => [
          withSpread(find(cpu, name, peer)),
          withSpread(find(tail, name, peer)),
          ratio(find(garbage, name, peer).ratio),
        ]),
      ]),
    ),
  ]
  const figures = [
    row([
      "",
      "CPU time",
      "p99.9",
      "garbage",
      "import",
      "after OTel's API",
      "heap",
      "arrays",
      "installed",
      "packed",
      "packages",
    ]),
    row(["---", ...Array.from({ length: 10 }, () => "--:")]),
    ...sides.map((side) => row(figuresOf(side))),
  ]
  return [...ratios, "", ...figures].join("\n")
}

function figuresOf(side: SideReport): string[] {
  const { install, importMs, importAfterApiMs } = side
  return [
    side.name,
    `${grouped(side.cpuNs)} ns`,
    `${(side.tailNs / 1000).toFixed(1)} µs`,
    `${grouped(side.garbageBytes)} B`,
    importMs === undefined ? "" : `${importMs.toFixed(0)} ms`,
    importAfterApiMs === undefined ? "" : `${importAfterApiMs.toFixed(0)} ms`,
    kilobytes(Math.max(0, side.heapBytes)),
    kilobytes(side.arraysBytes),
    install === undefined ? "" : megabytes(install.bytes),
    install === undefined ? "" : megabytes(install.packedBytes),
    install === undefined ? "" : String(install.packages),
  ]
}

const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`
const withSpread = ({ ratio: median, low, high }: PeerRow): string => `${ratio(median)} (${ratio(low)}–${ratio(high)})`
/** Three figures: 0.0521, 0.521, 5.21. */
const ratio = (value: number): string =>
  value < 0.1 ? value.toFixed(4) : value < 1 ? value.toFixed(3) : value.toFixed(2)
const grouped = (value: number): string => Math.round(value).toLocaleString("en-US")
const kilobytes = (bytes: number): string => `${grouped(bytes / 1024)} kB`
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
