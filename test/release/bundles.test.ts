import { execFileSync } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import * as fc from "fast-check"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { embed } from "../../src/embed.js"
import { rulesEngine } from "../../src/engines/rules.js"
import { isSerinError } from "../../src/errors.js"
import { isPrivateAddress } from "../../src/release/address.js"
import { releaseBundles } from "../../src/release/bundles.js"
import type { BundleOptions } from "../../src/release/bundles.js"
import { fakeClock } from "../../src/testing/fake-clock.js"
import { certificate, serve } from "./https-server.js"
import type { Certificate, Handler, Served } from "./https-server.js"
import { keyPair, signed } from "./signing.js"
import { gz, tarOf } from "./tar.js"

const engines = [rulesEngine()]
const files = (version = "1.5.0") => ({
  "release.yaml": `version: "${version}"\npolicy: { engine: rules }\n`,
  "rules.yaml": 'rules: [{ id: read, action: "get_*", effect: allow }]\n',
})
const ana = keyPair()
const BUNDLE = gz(tarOf(signed("1.5.0", files(), [ana])))
const UNSIGNED = gz(tarOf(files()))
const trustedKeys = { keys: [ana.publicPem] }

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "serin-bundles-"))
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function outcome(loading: unknown): Promise<string> {
  try {
    await loading
    return "loaded"
  } catch (error) {
    if (!isSerinError(error)) throw error
    return `${error.code}: ${error.message.split("\n", 1)[0]}`
  }
}

describe("releaseBundles from files", () => {
  it("serves <version>.tgz of a directory, and of a file: address", async () => {
    await writeFile(join(root, "1.5.0.tgz"), BUNDLE)
    const release = await releaseBundles({ from: root, engines }).get("1.5.0")
    expect(release.version).toBe("1.5.0")
    expect(release.policy.evaluate({ action: "get_user" }, { sessionId: "a", startedAt: 0 })).toMatchObject({
      rule: "read",
    })
    const from = pathToFileURL(join(root, "{version}.tgz")).href
    expect((await releaseBundles({ from, engines, trustedKeys }).get("1.5.0")).digest).toBe(release.digest)
  })

  it("says that there is none, and takes it once it is there", async () => {
    const source = releaseBundles({ from: root, engines })
    expect(await outcome(source.get("1.5.0"))).toMatch(/^RELEASE_NOT_FOUND: there is no release at/)
    await writeFile(join(root, "1.5.0.tgz"), UNSIGNED)
    const first = await source.get("1.5.0")
    await rm(join(root, "1.5.0.tgz"))
    expect(await source.get("1.5.0")).toBe(first)
  })

  it.skipIf(process.platform === "win32")("does not hang on a pipe", async () => {
    execFileSync("mkfifo", [join(root, "1.5.0.tgz")])
    expect(await outcome(releaseBundles({ from: root, engines, trustedKeys }).get("1.5.0"))).toMatch(
      /^RELEASE_INVALID: .*is neither a directory nor a file/,
    )
  })

  it("refuses a bundle under another version, and what is no version", async () => {
    await writeFile(join(root, "1.6.0.tgz"), UNSIGNED)
    const source = releaseBundles({ from: root, engines })
    expect(await outcome(source.get("1.6.0"))).toMatch(/^RELEASE_INVALID/)
    for (const version of ["../1.6.0", "a/b", "", ".."]) {
      expect(await outcome(source.get(version))).toMatch(/^RELEASE_NOT_FOUND: .*is no version/)
    }
  })

  it.each([
    ["http:", { from: "http://example.com/{version}.tgz" }, TypeError, /serve bundles over https/],
    ["no place for the version", { from: "https://example.com/latest.tgz" }, TypeError, /with \{version\} in it/],
    [
      "a version that chooses the server",
      { from: "https://{version}.example.com/x.tgz" },
      TypeError,
      /in its path or query/,
    ],
    [
      "a version that is never sent",
      { from: "https://example.com/x.tgz#{version}" },
      TypeError,
      /in its path or query/,
    ],
    ["a password", { from: "https://ada:secret@example.com/{version}.tgz" }, TypeError, /no name and password/],
    ["no place at all", { from: "" }, TypeError, /from must be/],
    ["a size of none", { from: "x", maxBytes: 0 }, RangeError, /maxBytes must be/],
    ["a size beyond what is unpacked", { from: "x", maxBytes: 2 ** 30 }, RangeError, /maxBytes must be/],
    ["no time", { from: "x", timeoutMs: 0 }, RangeError, /timeoutMs must be/],
    ["no engine", { from: "x", engines: [] }, TypeError, /at least one engine/],
    [
      "no list of engines",
      { from: "x", engines: undefined as never },
      TypeError,
      /such as \[rulesEngine\(\)\], got none/,
    ],
    [
      "a key that is not listed",
      { from: "x", trustedKeys: "-----BEGIN" as never },
      TypeError,
      /write \{ keys: \[pem\] \}/,
    ],
    ["keys that are none", { from: "x", trustedKeys: { keys: [] } }, TypeError, /got none/],
  ] as [string, Partial<BundleOptions>, ErrorConstructor, RegExp][])(
    "refuses %s when it is made",
    (_, options, kind, message) => {
      const make = () => releaseBundles({ engines, from: "x", ...options })
      expect(make).toThrow(kind)
      expect(make).toThrow(message)
    },
  )

  it("is what embed makes of an address", async () => {
    await writeFile(join(root, "1.4.0.tgz"), gz(tarOf(signed("1.4.0", files("1.4.0"), [ana]))))
    await writeFile(join(root, "1.5.0.tgz"), UNSIGNED)
    const spec =
      "rollout: packed\nstable: 1.4.0\ncanary: { release: 1.5.0, acceptance_criteria: { deny_rate_delta_max: 0.02 } }\n"
    await writeFile(join(root, "rollout.yaml"), spec)
    const releases = `${pathToFileURL(root).href}/{version}.tgz`
    const guard = await embed({ rollout: join(root, "rollout.yaml"), releases, trustedKeys, start: true })
    expect(guard.session("a").evaluate({ action: "get_user" })).toMatchObject({ outcome: "allow", release: "1.4.0" })
    expect(guard.status().unavailable.get("1.5.0")).toMatch(/is not signed/)
    await guard.close()
  })
})

describe("isPrivateAddress", () => {
  it.each([
    "127.0.0.1", "127.255.0.3", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254",
    "100.64.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0",
    "fc00::1", "fd12:3456::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:c0a8:101::1", "2001:db8::1", "2001::1",
    "", "localhost", "1.2.3", "0x7f.1",
  ])("refuses %s", (address) => {
    expect(isPrivateAddress(address)).toBe(true)
  }) // prettier-ignore

  it.each([
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.1", "192.167.1.1", "100.63.0.1", "100.128.0.1",
    "2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808", "2002:808:808::", "::ffff:8.8.8.8",
  ])("lets %s pass", (address) => {
    expect(isPrivateAddress(address)).toBe(false)
  }) // prettier-ignore

  it("judges an IPv4 address the same inside of an IPv6 one", () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number)
        const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
        for (const wrapped of [`::ffff:${address}`, `::ffff:${hex}`, `64:ff9b::${hex}`, `2002:${hex}::1`]) {
          expect(isPrivateAddress(wrapped)).toBe(isPrivateAddress(address))
        }
      }),
    )
  })
})

const identity = certificate()
if (identity === null) console.warn("SKIPPED: bundles over https: there is no openssl to make a certificate with")

describe.skipIf(identity === null)("releaseBundles over https", () => {
  const { cert } = identity as Certificate
  const send =
    (bytes: Uint8Array, headers: Record<string, string> = {}): Handler =>
    (_, response) =>
      void response.writeHead(200, headers).end(bytes)
  const withEtag =
    (bytes: Uint8Array, etag: string): Handler =>
    (request, response) => {
      if (request.headers["if-none-match"] === etag) response.writeHead(304, { etag }).end()
      else response.writeHead(200, { etag }).end(bytes)
    }
  let server: Served
  beforeAll(async () => {
    server = await serve(identity as Certificate, send(BUNDLE))
  })
  afterAll(() => server.close())
  beforeEach(() => {
    server.seen.length = 0
  })

  const source = (options: Partial<BundleOptions> = {}) =>
    releaseBundles({
      from: `https://127.0.0.1:${server.port}/releases/{version}.tgz?token=secret`,
      engines,
      ca: cert,
      allowPrivateAddresses: true,
      ...options,
    })

  it("fetches a bundle once, verifies it and keeps it", async () => {
    server.handle = send(BUNDLE)
    const bundles = source({ trustedKeys, headers: { authorization: "Bearer x" } })
    const [one, two] = await Promise.all([bundles.get("1.5.0"), bundles.get("1.5.0")])
    expect(two).toBe(one)
    expect(server.seen.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ["/releases/1.5.0.tgz?token=secret", "Bearer x"],
    ])
  })

  it("writes a version into the address as data", async () => {
    server.handle = (_, response) => void response.writeHead(404).end()
    expect(await outcome(source().get("1.5.0+a"))).toMatch(
      /^RELEASE_NOT_FOUND: there is no release 1\.5\.0\+a at https:/,
    )
    expect(server.seen[0]?.url).toBe("/releases/1.5.0%2Ba.tgz?token=secret")
  })

  it.each([
    [500, /RELEASE_UNAVAILABLE: .* was answered with status 500$/],
    [403, /RELEASE_UNAVAILABLE: .* status 403$/],
    [204, /RELEASE_UNAVAILABLE: .* status 204$/],
    [304, /RELEASE_UNAVAILABLE: .* status 304$/],
    [302, /RELEASE_UNAVAILABLE: .* status 302$/],
    [410, /RELEASE_NOT_FOUND/],
  ])("tells of status %d, without what is secret in the address", async (status, message) => {
    server.handle = (_, response) => void response.writeHead(status).end()
    const told = await outcome(source().get("1.5.0"))
    expect(told).toMatch(message)
    expect(told).not.toContain("secret")
  })

  it("refuses what is too large: by what it says of itself, and while it comes", async () => {
    server.handle = send(BUNDLE, { "content-length": String(BUNDLE.length) })
    expect(await outcome(source({ maxBytes: BUNDLE.length - 1 }).get("1.5.0"))).toMatch(
      /^RELEASE_INVALID: .*is larger than/,
    )
    let sent = 0
    server.handle = (_, response) => {
      // Without an end: only who reads can stop it.
      const more = (): void =>
        void response.write(Buffer.alloc(64 * 1024), (error) => (error ? undefined : (sent++, more())))
      more()
    }
    expect(await outcome(source({ maxBytes: 1024 * 1024 }).get("1.5.0"))).toMatch(/^RELEASE_INVALID: .*is larger than/)
    expect(sent).toBeLessThan(1000)
  })

  it("refuses half a body", async () => {
    server.handle = (_, response) => {
      response.writeHead(200, { "content-length": String(BUNDLE.length) })
      response.write(BUNDLE.subarray(0, 100), () => response.destroy())
    }
    expect(await outcome(source().get("1.5.0"))).toMatch(/^RELEASE_UNAVAILABLE: .*cannot be fetched/)
  })

  it.each([
    ["never answers", () => {}],
    ["never ends", (_: unknown, response: { write(chunk: string): void }) => response.write("x")],
  ] as [string, Handler][])("gives up on a server that %s", async (_, handle) => {
    const clock = fakeClock()
    const asked = new Promise<void>((resolve) => {
      server.handle = (request, response) => {
        handle(request, response)
        resolve()
      }
    })
    const told = outcome(source({ clock, timeoutMs: 5000 }).get("1.5.0"))
    await asked
    await clock.settle()
    clock.advance(5000)
    expect(await told).toMatch(/^RELEASE_UNAVAILABLE: .*did not come within 5000 ms/)
  })

  it("does not trust a certificate that nobody vouches for", async () => {
    expect(await outcome(source({ ca: undefined }).get("1.5.0"))).toMatch(
      /^RELEASE_UNAVAILABLE: .*(SELF_SIGNED|UNABLE_TO)/,
    )
    expect(server.seen).toEqual([])
  })

  it.each(["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "[::1]", "0"])(
    "does not connect to %s unless it may",
    async (host) => {
      const before = server.sockets()
      const from = `https://${host}:${server.port}/{version}.tgz`
      expect(await outcome(source({ from, allowPrivateAddresses: false }).get("1.5.0"))).toMatch(
        /^RELEASE_UNAVAILABLE: the release is at the private address/,
      )
      expect(server.sockets()).toBe(before)
    },
  )

  it("follows three redirects and no more, and gives what is secret to nobody else", async () => {
    const hop =
      (hops: number, base: string): Handler =>
      (request, response) => {
        const at = Number(new URL(request.url ?? "", "https://x").searchParams.get("hop") ?? 0)
        if (at < hops) response.writeHead(302, { location: `${base}/moved?hop=${at + 1}` }).end()
        else response.end(BUNDLE)
      }
    const headers = { authorization: "Bearer x" }
    server.handle = hop(3, "")
    expect(await outcome(source({ headers }).get("1.5.0"))).toBe("loaded")
    expect(server.seen.map((request) => request.headers.authorization)).toEqual(Array(4).fill("Bearer x"))
    server.handle = hop(4, "")
    expect(await outcome(source().get("1.5.0"))).toMatch(/redirected more than 3 times/)
    server.seen.length = 0
    server.handle = hop(1, `https://localhost:${server.port}`)
    expect(await outcome(source({ headers }).get("1.5.0"))).toBe("loaded")
    expect(server.seen.map((request) => request.headers.authorization)).toEqual(["Bearer x", undefined])
  })

  it.each(["http://127.0.0.1/x.tgz", "file:///etc/passwd", "https://ada:x@127.0.0.1/x", "//", "data:,x"])(
    "follows no redirect to %s",
    async (location) => {
      server.handle = (_, response) => void response.writeHead(301, { location }).end()
      expect(await outcome(source().get("1.5.0"))).toMatch(/redirected to what is no plain https address/)
    },
  )

  it("does not download again what it refused, until it is another", async () => {
    server.handle = withEtag(UNSIGNED, '"1"')
    const bundles = source({ trustedKeys })
    const first = await outcome(bundles.get("1.5.0"))
    expect(first).toMatch(/^RELEASE_UNTRUSTED/)
    expect(await outcome(bundles.get("1.5.0"))).toBe(first)
    expect(server.seen.map((request) => request.headers["if-none-match"])).toEqual([undefined, '"1"'])
    server.handle = withEtag(BUNDLE, '"2"')
    expect(await outcome(bundles.get("1.5.0"))).toBe("loaded")
  })

  it("tries again, now and then, what may have failed of the machine", async () => {
    let isThere = false
    const sdks = { late: () => (isThere ? {} : Promise.reject(new Error("not yet"))) }
    const withSdk = { ...files(), "release.yaml": `${files()["release.yaml"]}sdk: late\n` }
    server.handle = withEtag(gz(tarOf(withSdk)), '"1"')
    const bundles = source({ sdks })
    expect(await outcome(bundles.get("1.5.0"))).toMatch(/^RELEASE_INVALID/)
    isThere = true
    const outcomes: string[] = []
    for (let i = 0; i < 20; i++) outcomes.push(await outcome(bundles.get("1.5.0")))
    expect(outcomes.indexOf("loaded")).toBeGreaterThan(7)
    expect(server.seen.filter(({ headers }) => headers["if-none-match"] === undefined).length).toBeLessThan(4)
  })

  it("keeps nothing of refused bundles in memory", async () => {
    const { setFlagsFromString } = await import("node:v8")
    const { runInNewContext } = await import("node:vm")
    setFlagsFromString("--expose-gc")
    const collect = runInNewContext("gc") as () => void
    const held = async (): Promise<number> => {
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => setImmediate(resolve))
        collect()
      }
      return process.memoryUsage().arrayBuffers
    }
    const noise = Array.from({ length: 400_000 }, (_, i) => Math.sin(i).toString(36).slice(2))
      .join("")
      .slice(0, 4_000_000)
    const parts = Object.fromEntries(
      [0, 1, 2, 3].map((i) => [`r${i}.yaml`, `# ${noise.slice(i * 900_000, (i + 1) * 900_000)}`]),
    )
    const large = gz(tarOf({ ...files(), ...parts }))
    expect(large.length).toBeGreaterThan(2_000_000)
    server.handle = withEtag(large, '"large"')
    const bundles = source({ trustedKeys })
    await outcome(bundles.get("1.5.0"))
    const before = await held()
    for (let i = 0; i < 12; i++) {
      server.handle = withEtag(large, `"${i}"`)
      expect(await outcome(bundles.get("1.5.0"))).toMatch(/^RELEASE_UNTRUSTED/)
    }
    expect((await held()) - before).toBeLessThan(large.length)
  })

  describe("with cacheDir", () => {
    const cached = () => join(root, "cache")
    const down: Handler = (_, response) => void response.writeHead(503).end()

    it("starts while the server is down, on what was verified before, for this user alone", async () => {
      server.handle = withEtag(BUNDLE, '"1"')
      expect(await outcome(source({ trustedKeys, cacheDir: cached() }).get("1.5.0"))).toBe("loaded")
      expect((await readdir(cached())).toSorted()).toEqual(["1.5.0.etag", "1.5.0.tgz"])
      if (process.platform !== "win32") {
        expect((await stat(cached())).mode & 0o777).toBe(0o700)
        expect((await stat(join(cached(), "1.5.0.tgz"))).mode & 0o777).toBe(0o600)
      }
      server.handle = down
      expect(await outcome(source({ trustedKeys }).get("1.5.0"))).toMatch(/^RELEASE_UNAVAILABLE/)
      expect(await outcome(source({ trustedKeys, cacheDir: cached() }).get("1.5.0"))).toBe("loaded")
    })

    it("asks whether it is still the same, and does not download that again", async () => {
      server.handle = withEtag(BUNDLE, '"1"')
      await source({ cacheDir: cached() }).get("1.5.0")
      expect(await outcome(source({ cacheDir: cached() }).get("1.5.0"))).toBe("loaded")
      expect(server.seen.map((request) => request.headers["if-none-match"])).toEqual([undefined, '"1"'])
      // From another address the etag says nothing.
      const from = `https://127.0.0.1:${server.port}/other/{version}.tgz`
      await source({ cacheDir: cached(), from }).get("1.5.0")
      expect(server.seen.at(-1)?.headers["if-none-match"]).toBeUndefined()
    })

    it("does not serve what the server no longer has", async () => {
      server.handle = send(BUNDLE)
      await source({ cacheDir: cached() }).get("1.5.0")
      server.handle = (_, response) => void response.writeHead(410).end()
      expect(await outcome(source({ cacheDir: cached() }).get("1.5.0"))).toMatch(/^RELEASE_NOT_FOUND/)
    })

    it("leaves nothing of a refused bundle on disk", async () => {
      server.handle = withEtag(UNSIGNED, '"1"')
      expect(await outcome(source({ trustedKeys, cacheDir: cached() }).get("1.5.0"))).toMatch(/^RELEASE_UNTRUSTED/)
      server.handle = send(gz(tarOf({ ...files(), "rules.yaml": "{" })))
      expect(await outcome(source({ cacheDir: cached() }).get("1.5.0"))).toMatch(/^RELEASE_INVALID/)
      expect(existsSync(cached()) ? await readdir(cached()) : []).toEqual([])
    })

    it("verifies what it kept as if it had just come, and drops it when it is no longer good", async () => {
      server.handle = withEtag(BUNDLE, '"1"')
      await source({ cacheDir: cached() }).get("1.5.0")
      await writeFile(join(cached(), "1.5.0.tgz"), UNSIGNED)
      server.handle = down
      expect(await outcome(source({ trustedKeys, cacheDir: cached() }).get("1.5.0"))).toMatch(/^RELEASE_UNTRUSTED/)
      expect(await readdir(cached())).toEqual([])
      server.handle = withEtag(BUNDLE, '"1"')
      expect(await outcome(source({ trustedKeys, cacheDir: cached() }).get("1.5.0"))).toBe("loaded")
      expect(await readFile(join(cached(), "1.5.0.tgz"))).toEqual(BUNDLE)
    })

    it("serves the release also when it cannot be kept, and warns", async () => {
      await writeFile(cached(), "no directory")
      const warned = new Promise<string>((resolve) => process.once("warning", ({ message }) => resolve(message)))
      server.handle = send(BUNDLE)
      expect(await outcome(source({ cacheDir: cached() }).get("1.5.0"))).toBe("loaded")
      expect(await warned).toMatch(/serin cannot keep a release in/)
    })
  })
})
