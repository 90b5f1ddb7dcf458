import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { etcdStore, type EtcdStore } from "../../src/stores/etcd.js"
import { networkStoreContract } from "../../src/testing/network-contract.js"
import { storeContract } from "../../src/testing/store-contract.js"
import { startProxy } from "../servers/proxy.js"
import { compact, startEtcd } from "../servers/etcd.js"
import { hasServer, skipNote, type TestServer } from "../servers/server.js"

skipNote("etcd", 30)

describe.skipIf(!hasServer("etcd"))("etcdStore on a server", () => {
  let server: TestServer
  let prefixes = 0

  beforeAll(async () => void (server = await startEtcd()))
  afterAll(() => server.destroy())

  /** Handles of a test of its own, and how to close them. */
  function handles() {
    const prefix = `test-${prefixes++}/`
    const opened: EtcdStore[] = []
    return {
      open(port: number): EtcdStore {
        const store = etcdStore({ endpoints: [`http://127.0.0.1:${port}`], prefix })
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
      server: { ...server, compact: () => compact(server.port) },
      async destroy() {
        await close()
        await network.close()
        await server.start()
      },
    }
  }

  storeContract("etcdStore", { create }, { describe, it, expect })
  networkStoreContract("etcdStore", { create: createBehindNetwork, compacts: true }, { describe, it, expect })
})
