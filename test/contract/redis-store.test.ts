import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { redisStore, type RedisStore } from "../../src/stores/redis.js"
import { storeContract } from "../../src/testing/store-contract.js"
import { startRedis } from "../servers/redis.js"
import { hasServer, skipNote, type TestServer } from "../servers/server.js"

skipNote("redis-server", 19)

describe.skipIf(!hasServer("redis-server"))("a Redis server", () => {
  let server: TestServer
  let prefixes = 0

  beforeAll(async () => void (server = await startRedis()))
  afterAll(() => server.destroy())

  async function create() {
    const prefix = `test-${prefixes++}:`
    const opened: RedisStore[] = []
    const reopen = (): RedisStore => {
      const store = redisStore({ url: `redis://127.0.0.1:${server.port}`, prefix })
      opened.push(store)
      return store
    }
    return {
      store: reopen(),
      reopen,
      destroy: async () => void (await Promise.all(opened.map((store) => store.close()))),
    }
  }

  storeContract("redisStore", { create }, { describe, it, expect })
})
