import { BlockList, isIP } from "node:net"

/**
 * Ranges of IPv4 that are not the public internet: this host, private networks, carrier NAT, link-local with the metadata service of
 * clouds, documentation, benchmarks, multicast, reserved. Source: IANA's special-purpose address registry.
 */
const IPV4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
]

/** The same for IPv6; Teredo and local NAT64 with it. */
const IPV6: readonly (readonly [string, number])[] = [
  ["::", 96],
  ["64:ff9b:1::", 48],
  ["100::", 64],
  ["2001::", 23],
  ["2001:db8::", 32],
  ["3fff::", 20],
  ["5f00::", 16],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
]

const refused = blockList()

/** Tell whether an address is none of the public internet. What is no address is refused with them. */
export function isPrivateAddress(text: string): boolean {
  const address = text.replace(/%.*$/, "") // a zone: `fe80::1%eth0`
  const kind = isIP(address)
  return kind === 0 || refused.check(address, kind === 4 ? "ipv4" : "ipv6")
}

function blockList(): BlockList {
  const list = new BlockList()
  for (const [network, bits] of IPV6) list.addSubnet(network, bits, "ipv6")
  for (const [network, bits] of IPV4) {
    list.addSubnet(network, bits, "ipv4")
    const [a = 0, b = 0, c = 0, d = 0] = network.split(".").map(Number)
    const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
    // An IPv4 address inside of an IPv6 one: mapped, NAT64, 6to4.
    list.addSubnet(`::ffff:${hex}`, 96 + bits, "ipv6")
    list.addSubnet(`64:ff9b::${hex}`, 96 + bits, "ipv6")
    list.addSubnet(`2002:${hex}::`, 16 + bits, "ipv6")
  }
  return list
}
