import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startProxy } from "../../test/servers/proxy.js"
import type { Proxy } from "../../test/servers/proxy.js"
import { startRedis } from "../../test/servers/redis.js"
import type { TestServer } from "../../test/servers/server.js"
import type { Isolation } from "./invariants.js"
import { startActor } from "./program.js"
import type { Actor } from "./program.js"
import { commonMs } from "./scaled-clock.js"
import type { Disturbance } from "./script.js"

export interface WorldOptions {
  readonly agents: readonly string[]
  readonly leaders: readonly string[]
  /** Bundled programs. */
  readonly programs: { readonly agent: string; readonly leader: string }
  readonly speed: number
  readonly seed: number
  /** Do what a human does; rejects when the store is away or the rollout does not take it. */
  readonly verb: (verb: Extract<Disturbance, { is: "verb" }>["verb"], port: number) => Promise<void>
  readonly tell: (text: string) => void
}

/** A fleet, a store, and a link between the store and each process, all on loopback. */
export interface World {
  /** Port of the store itself, past all links. */
  readonly port: number
  /** File of the lines of each process, by its name. */
  readonly lines: ReadonlyMap<string, string>
  /** Times in which a process heard nothing of the store, common ms. */
  isolations(): readonly Isolation[]
  /** When the store's documents became others, common ms. */
  losses(): readonly number[]
  /** Start all processes; resolves when each has told something. */
  populate(): Promise<void>
  apply(disturbance: Disturbance): Promise<void>
  /** Heal everything, and let all end by themselves. Answers those that did not. */
  end(): Promise<readonly string[]>
  /** Remove everything; `keep` leaves what processes wrote, in the folder that is answered. */
  destroy(keep: boolean): Promise<string>
}

export async function createWorld(options: WorldOptions): Promise<World> {
  const { agents, leaders, programs, speed, seed, tell } = options
  const root = mkdtempSync(join(tmpdir(), "serin-chaos-"))
  const server: TestServer = await startRedis()
  const origin = Date.now()
  const names = [...leaders, ...agents]
  const links = new Map<string, Proxy>()
  for (const name of names) links.set(name, await startProxy(server.port, { resetMs: 200 / speed }))
  const lines = new Map(names.map((name) => [name, join(root, `${name}.jsonl`)]))
  const actors = new Map<string, Actor>()
  const losses: number[] = []
  const isolations: { process: string; from: number; to: number }[] = []
  /** Links that are stalled, each with the number of reasons. */
  const stalls = new Map<string, number>()
  let serving = Promise.resolve()

  const real = (ms: number): number => ms / speed
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, real(ms)))
  const actor = (name: string): Actor => {
    const found = actors.get(name)
    if (found === undefined) throw new RangeError(`no process ${name}`)
    return found
  }
  const link = (name: string): Proxy => links.get(name)!
  const leader = (): string => leaders[Math.floor(Math.random() * leaders.length)]!

  async function isolate(name: string, forMs: number, how: (link: Proxy) => void): Promise<void> {
    const isolation = { process: name, from: commonMs(), to: Number.POSITIVE_INFINITY }
    isolations.push(isolation)
    stalls.set(name, (stalls.get(name) ?? 0) + 1)
    how(link(name))
    await wait(forMs)
    const left = (stalls.get(name) ?? 1) - 1
    stalls.set(name, left)
    // Before it is healed: what comes through at the same moment is no violation.
    isolation.to = commonMs()
    if (left === 0) await link(name).heal()
  }

  async function apply(one: Disturbance): Promise<void> {
    switch (one.is) {
      case "stall":
        return isolate(one.link, one.forMs, (link) => link.stall("all"))
      case "cut":
        return isolate(one.link, one.forMs, (link) => {
          link.stall("all")
          link.cut()
        })
      case "restart-store":
        return onServer(async () => {
          await server.save()
          await server.kill()
          await wait(one.downMs)
          await server.start()
        })
      case "roll-back-store":
        return onServer(async () => {
          await server.rollBack()
          losses.push(commonMs())
          await wait(one.forMs)
          await server.undoRollBack()
          losses.push(commonMs())
        })
      case "kill-leader":
        return actor(leader()).replace()
      case "freeze-leader":
        return freeze(leader(), one.forMs)
      case "kill-agent":
        return actor(one.agent).replace()
      case "freeze-agent":
        return freeze(one.agent, one.forMs)
      case "jump":
        return actor(one.process).order({ is: "jump", ms: one.ms })
      case "corrupt":
      case "replay":
        actor(one.process).order({ is: "reads", what: one.is })
        await wait(one.forMs)
        return actor(one.process).order({ is: "reads", what: "honest" })
      case "verb":
        try {
          await options.verb(one.verb, server.port)
          return
        } catch (error) {
          return tell(`  ${one.verb}: ${error instanceof Error ? error.message : String(error)}`)
        }
    }
  }

  /** One after the other: what is down cannot be rolled back. */
  function onServer(work: () => Promise<void>): Promise<void> {
    serving = serving.then(work)
    return serving
  }

  async function freeze(name: string, forMs: number): Promise<void> {
    const frozen = actor(name)
    frozen.signal("SIGSTOP")
    await wait(forMs)
    frozen.signal("SIGCONT")
  }

  return {
    port: server.port,
    lines,
    isolations: () => isolations,
    losses: () => losses,
    async populate() {
      for (const [i, name] of names.entries()) {
        const dir = join(root, name)
        mkdirSync(dir)
        const program = leaders.includes(name) ? programs.leader : programs.agent
        const part = { name, port: link(name).port, lines: lines.get(name)!, dir, speed, origin, seed: seed * 1000 + i }
        actors.set(name, startActor(program, part))
      }
      while (![...lines.values()].every((path) => existsSync(path))) {
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
    apply,
    async end() {
      await Promise.all([...links.values()].map((one) => one.heal()))
      const stuck: string[] = []
      // Leaders last: what agents publish as they end still counts.
      for (const group of [agents, leaders]) {
        await Promise.all(
          group.map(async (name) => void ((await actors.get(name)?.end(20_000)) === false && stuck.push(name))),
        )
      }
      return stuck
    },
    async destroy(keep) {
      for (const one of links.values()) await one.close()
      await server.destroy()
      if (!keep) rmSync(root, { recursive: true, force: true })
      return root
    },
  }
}
