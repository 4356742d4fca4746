/** Numbers of include/uapi/asm-generic/socket.h and include/uapi/linux/tcp.h. */
const [SOL_SOCKET, SO_KEEPALIVE] = [1, 9];
const [IPPROTO_TCP, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT] = [6, 4, 5, 6];

export interface KeepaliveTimes {
  keepaliveTimeMs: number;
  keepaliveIntervalMs: number;
  keepaliveProbes: number;
}

/** One call of setsockopt(2). */
export type SocketOption = readonly [level: number, name: number, value: number];

/**
 * What makes the kernel notice that a peer has vanished without a word, as ztunnel sets it (src/config.rs
 * `SocketConfig`). The probes of an app end at the agent, so only the agent's own ones tell of the far end. Times are
 * rounded up to whole seconds, the unit of tcp(7). A listener hands them down to what it accepts.
 */
export function keepaliveOptions(times: KeepaliveTimes): readonly SocketOption[] {
  return [
    [IPPROTO_TCP, TCP_KEEPIDLE, Math.ceil(times.keepaliveTimeMs / 1_000)],
    [IPPROTO_TCP, TCP_KEEPINTVL, Math.ceil(times.keepaliveIntervalMs / 1_000)],
    [IPPROTO_TCP, TCP_KEEPCNT, times.keepaliveProbes],
    [SOL_SOCKET, SO_KEEPALIVE, 1],
  ];
}
