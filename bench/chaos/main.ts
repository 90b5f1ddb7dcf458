// `npm run chaos`: a fleet of processes under load on one store, through a scripted hour on accelerated time in which everything
// fails that can. What the processes wrote down is then held to the promises. Ends with an exit code of 1 for any violation.
import { parseArgs } from "node:util"
import { chaos } from "./chaos.js"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    agents: { type: "string", default: "20" },
    minutes: { type: "string", default: "60" },
    speed: { type: "string", default: "20" },
    quick: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
})
if (values.help) {
  console.log(
    "npm run chaos -- [--seed N] [--agents N] [--minutes N] [--speed N] [--quick] [--keep]\n\n--minutes  of the scripted time; --speed says how many of them pass in one\n--quick    8 agents, 12 minutes\n--keep     leave what each process wrote, and say where",
  )
  process.exit(0)
}
const whole = (name: "seed" | "agents" | "minutes" | "speed", least: number): number => {
  const value = Number(values[name])
  if (!Number.isInteger(value) || value < least)
    throw new RangeError(`--${name} must be a whole number >= ${least}, got ${values[name]}`)
  return value
}
// Each process and each server is ended when this one ends.
process.setMaxListeners(0)
const report = await chaos({
  seed: whole("seed", 0),
  agents: values.quick ? 8 : whole("agents", 1),
  minutes: values.quick ? 12 : whole("minutes", 8),
  speed: whole("speed", 1),
  keep: values.keep,
  tell: (text) => console.log(text),
})
process.exitCode = report.violations.length === 0 ? 0 : 1
