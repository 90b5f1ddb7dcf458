import { h } from "./dom.js"
import uPlot from "./uplot.js"

/** @param {string} name of a custom property of the style sheet */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/**
 * A chart that is redrawn with new data, as wide as its place, in the colours of the day or of the night. `describe` is what the chart
 * shows, for whoever does not see it.
 *
 * @param {(size: { width: number, height: number }) => import("uplot").Options} options
 */
export function chart(options) {
  const plot = h("div", { class: "plot", role: "img" })
  /** @type {import("uplot") | null} */
  let drawn = null
  /** @type {any} */
  let data = null
  let shape = ""

  function draw() {
    const width = plot.clientWidth
    if (width === 0 || data === null) return
    drawn?.destroy()
    drawn = new uPlot(options({ width, height: 185 }), data, plot)
  }

  new ResizeObserver(draw).observe(plot)
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw)

  return {
    element: plot,
    /**
     * @param {any} next
     * @param {string} describe
     * @param {string} [drawnAs] anew when it changes: marks and limits are part of the drawing
     */
    update(next, describe, drawnAs = "") {
      plot.setAttribute("aria-label", describe)
      const same = drawnAs === shape && JSON.stringify(next) === JSON.stringify(data)
      data = next
      if (same && drawn !== null) return
      if (drawn === null || drawnAs !== shape) draw()
      else drawn.setData(next)
      shape = drawnAs
    },
  }
}

/** @param {Partial<import("uplot").Axis>} more */
export const axis = (more) => ({
  stroke: colour("--quiet"),
  grid: { stroke: colour("--soft"), width: 1 },
  ticks: { stroke: colour("--soft") },
  ...more,
})

/** Times at the foot of a chart, in UTC as everywhere else. */
export const timeAxis = () =>
  axis({
    size: 30,
    values: (_, ticks) => {
      const isLong = (ticks.at(-1) ?? 0) - (ticks[0] ?? 0) > 2 * 86_400
      return ticks.map((s) => new Date(s * 1000).toISOString().slice(isLong ? 5 : 11, isLong ? 10 : 16))
    },
  })

/** @param {number} s since the epoch */
export const utc = (s) => uPlot.tzDate(new Date(s * 1000), "UTC")

/**
 * An estimate in its band, against its limit, with the moments at which the rollout moved.
 *
 * @param {() => { limit: number, label: string, moments: readonly { at: number, word: string }[], value: (y: number) => string }} now
 */
export const bandChart = (now) =>
  chart(({ width, height }) => {
    const { limit, label, moments, value } = now()
    const y = (/** @type {any} */ _, /** @type {number | null} */ v) => (v === null ? "–" : value(v))
    return {
      width,
      height,
      tzDate: utc,
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: { y: { range: (_, min, max) => around(Math.min(min ?? limit, limit), Math.max(max ?? limit, limit)) } },
      axes: [timeAxis(), axis({ size: 62, values: (_, ticks) => ticks.map(value) })],
      series: [
        {},
        { label: "from", stroke: colour("--accent"), dash: [2, 3], width: 1, points: { show: false }, value: y },
        { label, stroke: colour("--accent"), width: 2, points: { show: false }, value: y },
        { label: "to", stroke: colour("--accent"), dash: [2, 3], width: 1, points: { show: false }, value: y },
      ],
      bands: [{ series: [3, 1], fill: colour("--band") }],
      hooks: { draw: [(plot) => marks(plot, limit, moments)] },
    }
  })

/**
 * @param {number} min
 * @param {number} max
 * @returns {[number, number]}
 */
function around(min, max) {
  const room = (max - min || 0.01) * 0.12
  return [min - room, max + room]
}

/**
 * The limit, and a line for each moment with its word: neither is told by colour alone.
 *
 * @param {import("uplot")} plot
 * @param {number} limit
 * @param {readonly { at: number, word: string }[]} moments
 */
function marks(plot, limit, moments) {
  const { ctx, bbox } = plot
  const ratio = devicePixelRatio
  ctx.save()
  ctx.beginPath()
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height)
  ctx.clip()
  ctx.font = `${11 * ratio}px system-ui, sans-serif`
  ctx.textAlign = "left"
  ctx.textBaseline = "alphabetic"
  const y = plot.valToPos(limit, "y", true)
  line(ctx, colour("--bad"), [6 * ratio, 4 * ratio], bbox.left, y, bbox.left + bbox.width, y)
  ctx.fillStyle = colour("--bad")
  // At the right, where the words of moments seldom are; below its line where that is at the top.
  ctx.textAlign = "right"
  ctx.fillText("limit", bbox.left + bbox.width - 4 * ratio, y + (y < bbox.top + 16 * ratio ? 13 : -4) * ratio)
  ctx.textAlign = "left"
  for (const [i, { at, word }] of moments.entries()) {
    // What was before the first look stands at its left edge.
    const x = Math.max(bbox.left, plot.valToPos(at / 1000, "x", true))
    line(ctx, colour("--quiet"), [], x, bbox.top, x, bbox.top + bbox.height)
    ctx.fillStyle = colour("--text")
    // One below the other, and on the left of their line where the right has no room.
    const isLeft = x + ctx.measureText(word).width + 6 * ratio > bbox.left + bbox.width
    ctx.textAlign = isLeft ? "right" : "left"
    ctx.fillText(word, x + (isLeft ? -3 : 3) * ratio, bbox.top + (11 + 13 * (i % 4)) * ratio)
  }
  ctx.restore()
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {string} stroke
 * @param {number[]} dash
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 */
function line(ctx, stroke, dash, x0, y0, x1, y1) {
  ctx.strokeStyle = stroke
  ctx.setLineDash(dash)
  ctx.lineWidth = 1.5 * devicePixelRatio
  ctx.beginPath()
  ctx.moveTo(x0, y0)
  ctx.lineTo(x1, y1)
  ctx.stroke()
}

/** Quantiles of both arms: the stable one drawn through, the canary's dashed and with squares. */
export const quantileChart = (/** @type {readonly string[]} */ names) =>
  chart(({ width, height }) => ({
    width,
    height,
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: false, range: () => [-0.3, names.length - 0.7] }, y: { distr: 3 } },
    axes: [
      axis({ size: 30, splits: () => names.map((_, i) => i), values: () => [...names] }),
      axis({ size: 84, values: (_, ticks) => ticks.map((v) => (v === null ? "" : `${Number(v.toPrecision(2))} ms`)) }),
    ],
    series: [
      {},
      { label: "stable", stroke: colour("--quiet"), width: 2, points: { size: 6 } },
      { label: "canary", stroke: colour("--accent"), width: 2, dash: [6, 4], points: { size: 9 } },
    ],
  }))

const stepped = uPlot.paths.stepped?.({ align: 1 })

/** The canary's share over time. */
export const rampChart = () =>
  chart(({ width, height }) => ({
    width,
    height: height - 40,
    tzDate: utc,
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: () => [0, 105] } },
    axes: [timeAxis(), axis({ size: 62, values: (_, ticks) => ticks.map((v) => `${v} %`) })],
    series: [
      {},
      {
        label: "canary's share",
        stroke: colour("--accent"),
        fill: colour("--band"),
        width: 2,
        ...(stepped && { paths: stepped }),
        points: { show: true, size: 5 },
      },
    ],
  }))
