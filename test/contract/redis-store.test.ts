import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { redisStore, type RedisStore } from "../../src/stores/redis.js"
import { networkStoreContract } from "../../src/testing/network-contract.js"
import { storeContract } from "../../src/testing/store-contract.js"
import { startProxy } from "../servers/proxy.js"
import { startRedis } from "../servers/redis.js"
import { hasServer, skipNote, type TestServer } from "../servers/server.js"

skipNote("redis-server", 29)

describe.skipIf(!hasServer("redis-server"))("redisStore on a server", () => {
  let server: TestServer
  let prefixes = 0

  beforeAll(async () => void (server = await startRedis()))
  afterAll(() => server.destroy())

  /** Handles of a test of its own, and how to close them. */
  function handles() {
    const prefix = `test-${prefixes++}:`
    const opened: RedisStore[] = []
    return {
      open(port: number): RedisStore {
        const store = redisStore({ url: `redis://127.0.0.1:${port}`, prefix })
        opened.push(store)
        return store
      },
      close: async () => void (await Promise.all(opened.map((store) => store.close()))),
    }
  }

  async function create() {
    const { open, close } = handles()
    return { store: open(server.port), reopen: () => open(server.port), destroy: close }
  }

  async function createBehindNetwork() {
    const { open, close } = handles()
    const network = await startProxy(server.port)
    return {
      store: open(network.port),
      reopen: () => open(network.port),
      direct: open(server.port),
      network,
      server,
      async destroy() {
        await close()
        await network.close()
        await server.start()
      },
    }
  }

  storeContract("redisStore", { create }, { describe, it, expect })
  networkStoreContract("redisStore", { create: createBehindNetwork }, { describe, it, expect })
})
