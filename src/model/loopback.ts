/** Tell whether a host, as it stands in an address or on its own, is this machine and no other. */
export const isLoopback = (host: string): boolean => /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/i.test(host)
