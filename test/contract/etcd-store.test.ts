import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { etcdStore, type EtcdStore } from "../../src/stores/etcd.js"
import { storeContract } from "../../src/testing/store-contract.js"
import { startEtcd } from "../servers/etcd.js"
import { hasServer, skipNote, type TestServer } from "../servers/server.js"

skipNote("etcd", 19)

describe.skipIf(!hasServer("etcd"))("an etcd server", () => {
  let server: TestServer
  let prefixes = 0

  beforeAll(async () => void (server = await startEtcd()))
  afterAll(() => server.destroy())

  async function create() {
    const prefix = `test-${prefixes++}/`
    const opened: EtcdStore[] = []
    const reopen = (): EtcdStore => {
      const store = etcdStore({ endpoints: [`http://127.0.0.1:${server.port}`], prefix })
      opened.push(store)
      return store
    }
    return {
      store: reopen(),
      reopen,
      destroy: async () => void (await Promise.all(opened.map((store) => store.close()))),
    }
  }

  storeContract("etcdStore", { create }, { describe, it, expect })
})
