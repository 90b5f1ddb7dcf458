import type { Socket } from "node:net"

/** Whether a reset can be asked of it: not over TLS, and not once its end was sent (libuv then fails, and spins). */
const canReset = (socket: Socket): boolean => !socket.connecting && !socket.writableEnded && !("encrypted" in socket)

/** End a connection, and have the system send nothing more of what waits in it; closing it would go on sending. */
export function resetSocket(socket: Socket): void {
  if (socket.destroyed) return
  if (canReset(socket)) socket.resetAndDestroy()
  else socket.destroy()
}
