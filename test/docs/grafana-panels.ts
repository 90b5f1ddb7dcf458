import { readFileSync } from "node:fs"

interface Target {
  readonly refId: string
  readonly expr: string
  readonly datasource: { readonly uid: string }
  readonly legendFormat: string
}

export interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly datasource?: { readonly uid: string }
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } }
  readonly targets?: readonly Target[]
}

export interface GrafanaDashboard {
  readonly uid: string
  readonly schemaVersion: number
  readonly panels: readonly Panel[]
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[]
  }
}

export const text = readFileSync(new URL("../../grafana/serin.json", import.meta.url), "utf8")
/** The dashboard that is shipped. */
export const grafana = JSON.parse(text) as GrafanaDashboard
/** Its panels that show something. */
export const panels = grafana.panels.filter(({ type }) => type !== "row")
/** What they ask, with variables in it. */
export const expressions = panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({ panel: title, expr })),
)
