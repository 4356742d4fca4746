/**
 * The whole typed surface of the addon: libbpf as cilium/ebpf exposes it in Go, sockets in other network namespaces,
 * rtnetlink, sock_diag, and the byte relay. Names and order are those of `native/src`.
 *
 * All calls are synchronous and take microseconds unless they say otherwise. Every failure is a `NativeError`.
 * Handles own their descriptor: `close()` is idempotent and a use after it throws code `ERR_CLOSED`.
 */
import { createRequire } from 'node:module';

/** A failed system call. `errno` is positive, `code` its name (`EPERM`), `syscall` what was tried (`bpf(BPF_MAP_CREATE)`). */
export interface NativeError extends Error {
  errno: number;
  code: string;
  syscall: string;
  /** Last lines of the verifier's log; only when a program was refused at load. */
  verifierLog?: string;
}

/** A network namespace is a descriptor (`openNetns`, or one received by SCM_RIGHTS). */
export type NetnsFd = number;
/** IPv4 in dotted form or IPv6 in RFC 5952 form; IPv4 is never v4-mapped at this seam. */
export type Address = string;

// ---------------------------------------------------------------- BPF

export interface CollectionOptions {
  /** Shown in errors; at most 15 characters. */
  name: string;
  /** `.rodata` variables by name, exact bytes. Kernel default where absent. */
  constants: Record<string, Uint8Array>;
  /**
   * Maps to use in place of those that the object declares, by name; type, key and value size, flags and `max_entries`
   * (after `maxEntries`) must agree (`EINVAL`).
   */
  reuseMaps: Record<string, BpfMap>;
  /** `max_entries` by map name, where the object's figure is not wanted. */
  maxEntries: Record<string, number>;
  /** Programs to load; `null`: all. */
  programs: string[] | null;
}

export interface StructLayout {
  size: number;
  members: { name: string; offset: number; size: number }[];
}

/**
 * An ELF object loaded into the kernel, all or nothing. Throws with `verifierLog`. Needs CAP_BPF, CAP_NET_ADMIN.
 * Maps and programs taken out have descriptors of their own and outlive `close()` of the collection.
 */
export interface BpfCollection {
  /** A new handle each time; `ENOENT`. */
  map(name: string): BpfMap;
  /** A new handle each time; `ENOENT` also for one that `programs` left out. */
  program(name: string): BpfProgram;
  /** Those that the compiler makes included, such as `<collection>.rodata`. */
  readonly mapNames: string[];
  /** Those that were loaded. */
  readonly programNames: string[];
  /** From the object's BTF; `null` when there is no such struct. */
  structLayout(name: string): StructLayout | null;
  /** From the object's BTF: enumerator names and values; `null` when there is no such enum. */
  enumValues(name: string): Record<string, number> | null;
  close(): void;
}

export interface MapInfo {
  id: number;
  name: string;
  type: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
}

/** Keys and values are exact bytes. The value of a per-CPU map is the concatenation of all CPUs' 8-byte aligned values. */
export interface BpfMap {
  readonly info: MapInfo;
  lookup(key: Uint8Array): Uint8Array | null;
  /** Throws `EEXIST`, `ENOENT`, `E2BIG` (full). */
  update(key: Uint8Array, value: Uint8Array, flag: 'any' | 'noexist' | 'exist'): void;
  /** For SOCKMAP and SOCKHASH: puts a socket in. */
  updateFd(key: Uint8Array, fd: number): void;
  /** False when there was none. */
  delete(key: Uint8Array): boolean;
  lookupAndDelete(key: Uint8Array): Uint8Array | null;
  /** A copy; entries added or removed meanwhile may or may not be in it. */
  entries(): [Uint8Array, Uint8Array][];
  pin(path: string): void;
  close(): void;
}

export interface ProgramInfo {
  id: number;
  name: string;
  type: number;
  tag: string;
}

export interface BpfProgram {
  readonly info: ProgramInfo;
  pin(path: string): void;
  /** BPF_PROG_TEST_RUN; `ctx` and `data` may be empty. Only for the types that the kernel supports it for. */
  testRun(
    data: Uint8Array,
    ctx: Uint8Array,
    repeat: number,
  ): { returned: number; data: Uint8Array; durationNs: number };
  close(): void;
}

export type CgroupAttach = 'connect4' | 'connect6' | 'ingress' | 'egress' | 'sock_ops';

export interface LinkInfo {
  id: number;
  programId: number;
  type: number;
  /** False when it was detached, or when its cgroup or network namespace has gone. */
  attached: boolean;
}

/** Closing an unpinned link detaches. */
export interface BpfLink {
  readonly info: LinkInfo;
  /** Replaces the program in one step. */
  update(program: BpfProgram): void;
  pin(path: string): void;
  /** Removes the pin that `pin` made or `openPinnedLink` found; still attached until `close`. `ENOENT` when not pinned. */
  unpin(): void;
  /** Detaches now, also when pinned. */
  detach(): void;
  close(): void;
}

/**
 * Calls back on the loop for each record, a limited number for each turn, until closed, also when nobody keeps the handle.
 * Lets the process exit when nothing else is alive. What the callback throws is an uncaught exception.
 */
export interface RingBuffer {
  close(): void;
}

// ---------------------------------------------------------------- sockets and namespaces

export interface Endpoint {
  address: Address;
  port: number;
}

export interface ListenOptions {
  netns: NetnsFd;
  /** `::` listens on both families (v4-mapped). */
  address: Address;
  /** 0: any. */
  port: number;
  backlog: number;
  /** IP_TRANSPARENT, IPV6_TRANSPARENT: so that steer may hand it connections to any address. */
  transparent: boolean;
}

/** What `accept` knows of a connection without another system call. */
export interface Accepted {
  fd: number;
  /** getsockname: the original destination. */
  local: Endpoint;
  remote: Endpoint;
  /** SO_MARK that the socket inherited (`tcp_fwmark_accept`). */
  mark: number;
}

/**
 * A listening socket on the loop. At most `batch` accepts for each wake-up, so that one pod's SYN flood does not starve
 * the others. Accepted sockets are non-blocking, close-on-exec, TCP_NODELAY; the caller owns `fd`.
 * On EMFILE or ENFILE accepting pauses 100 ms and `onError` is called.
 */
export interface Listener {
  readonly fd: number;
  readonly port: number;
  close(): void;
}

export interface ConnectOptions {
  netns: NetnsFd;
  to: Endpoint;
  /**
   * Source address, and port (0: any); `null`: the kernel's choice. A foreign one needs `transparent`; any port is then one
   * of 10240 to 32767, where the address' owner picks none by default: two connections of one 4-tuple cannot be.
   */
  from: Endpoint | null;
  transparent: boolean;
  /** SO_MARK set before connect; 0: none. */
  mark: number;
  timeoutMs: number;
}

/** `fd` belongs to the caller. On failure `fd` is -1 and `errno`/`code` say why (`ETIMEDOUT` for `timeoutMs`). */
export type ConnectCallback = (error: NativeError | null, fd: number, local: Endpoint | null) => void;

/** A connect under way; `cancel()` closes the socket and the callback is never called. */
export interface Connector {
  cancel(): void;
}

export interface RelayOptions {
  /** Bytes held for each direction while its receiver does not read; allocated only then. */
  bufferBytes: number;
  /** Sends a RST on both sides when nothing moved for so long; 0: never. */
  idleTimeoutMs: number;
}

export interface RelayEnd {
  /** Downstream to upstream. */
  bytesSent: number;
  /** Upstream to downstream. */
  bytesReceived: number;
  /** Which side ended it: `eof` both directions finished cleanly; the others by a RST, an error or `close`. */
  cause: 'eof' | 'downstream' | 'upstream' | 'idle' | 'closed';
  /** Of the failing side; 0 for `eof` and `closed`. */
  errno: number;
  code: string;
}

/**
 * Copies bytes both ways between two connected sockets and owns both. Half-close is passed on as half-close, RST as RST;
 * a slow reader stops the reading of its peer. An idle relay holds no buffer. `onEnd` is called exactly once, both
 * sockets being closed by then, but never after `release`.
 */
export interface Relay {
  bytesSent(): number;
  bytesReceived(): number;
  /** A RST to downstream, and no byte moves any more. `close('reset')` must follow, which tells upstream. */
  cut(): void;
  /** Ends it now: with a RST to both sides, or by an orderly FIN. `onEnd` follows with cause `closed`. */
  close(how: 'reset' | 'finish'): void;
  /** Gives both sockets back with nothing buffered, or `null` when bytes are held. */
  release(): { downstream: number; upstream: number } | null;
}

// ---------------------------------------------------------------- netlink and diagnostics

export interface Rule {
  family: 4 | 6;
  mark: number;
  mask: number;
  table: number;
  priority: number;
}

export interface LocalRoute {
  family: 4 | 6;
  table: number;
  /** Preferred source; `null`: none. */
  source: Address | null;
}

export interface TcpSocket {
  family: 4 | 6;
  /** TCP_ESTABLISHED is 1, TCP_LISTEN 10; see include/net/tcp_states.h. */
  state: number;
  local: Endpoint;
  remote: Endpoint;
  interfaceIndex: number;
  uid: number;
  inode: number;
  /** 8 bytes that name the socket for `destroySocket`. */
  cookie: bigint;
  /** SO_MARK; of a handshake under way too. */
  mark: number;
}

export interface InterfaceAddress {
  interfaceName: string;
  interfaceIndex: number;
  family: 4 | 6;
  address: Address;
  prefixLength: number;
}

export interface Native {
  // BPF
  loadCollection(elf: Uint8Array, options: CollectionOptions): BpfCollection;
  openPinnedMap(path: string): BpfMap;
  openPinnedProgram(path: string): BpfProgram;
  openPinnedLink(path: string): BpfLink;
  attachCgroup(cgroupPath: string, program: BpfProgram, attach: CgroupAttach): BpfLink;
  /** sk_lookup in that namespace. */
  attachNetns(netns: NetnsFd, program: BpfProgram): BpfLink;
  /** Ids of the programs in force at a cgroup, ancestors' included, in the order in which they run. */
  queryCgroup(cgroupPath: string, attach: CgroupAttach): ProgramInfo[];
  openRingBuffer(map: BpfMap, onRecord: (record: Uint8Array) => void): RingBuffer;
  /** True: supported; otherwise the error that the kernel gave. Never compares versions. */
  probeProgramType(type: number): true | NativeError;
  probeMapType(type: number): true | NativeError;
  probeHelper(programType: number, helper: number): true | NativeError;

  // Namespaces and cgroups
  openNetns(path: string): NetnsFd;
  /** A new, unnamed one that lives as long as the descriptor; loopback is up. Needs CAP_SYS_ADMIN. */
  createNetns(): NetnsFd;
  netnsCookie(netns: NetnsFd): bigint;
  cgroupId(path: string): bigint;
  /** Reads and writes `/proc/sys/<name>` as that namespace sees it, name such as `net/ipv4/tcp_fwmark_accept`. */
  readSysctl(netns: NetnsFd, name: string): string;
  writeSysctl(netns: NetnsFd, name: string, value: string): void;

  /**
   * An exclusive `flock` on an open file or directory; false when another process holds it. Never waits. Ends when `fd`
   * is closed, which the death of the process does too.
   */
  tryLock(fd: number): boolean;

  // Sockets
  listen(
    options: ListenOptions,
    batch: number,
    onAccept: (accepted: Accepted) => void,
    onError: (error: NativeError) => void,
  ): Listener;
  connect(options: ConnectOptions, done: ConnectCallback): Connector;
  relay(downstream: number, upstream: number, options: RelayOptions, onEnd: (end: RelayEnd) => void): Relay;
  /** Closes; with `reset` the peer gets a RST. */
  closeSocket(fd: number, reset: boolean): void;
  getSocketOption(fd: number, level: number, name: number): number;
  setSocketOption(fd: number, level: number, name: number, value: number): void;
  socketName(fd: number): Endpoint;
  peerName(fd: number): Endpoint;
  /** SCM_RIGHTS over a connected Unix socket (SOCK_SEQPACKET or SOCK_STREAM, blocking, at most `timeoutMs`). */
  sendDescriptors(socket: number, data: Uint8Array, descriptors: number[], timeoutMs: number): void;
  receiveDescriptors(
    socket: number,
    maxBytes: number,
    timeoutMs: number,
  ): { data: Uint8Array; descriptors: number[] } | null;
  connectUnix(path: string): number;
  listenUnix(path: string): number;
  acceptUnix(fd: number, timeoutMs: number): number;

  // rtnetlink
  addRule(netns: NetnsFd, rule: Rule): void;
  /** False when there was none. */
  deleteRule(netns: NetnsFd, rule: Rule): boolean;
  listRules(netns: NetnsFd): Rule[];
  /** `local default dev lo`; replaces one that is there. */
  addLocalRoute(netns: NetnsFd, route: LocalRoute): void;
  deleteLocalRoute(netns: NetnsFd, route: LocalRoute): boolean;
  listLocalRoutes(netns: NetnsFd): LocalRoute[];
  listAddresses(netns: NetnsFd): InterfaceAddress[];

  // sock_diag
  /** All TCP sockets of a namespace, MPTCP subflows included; `states` is a bit set, 1 << state. */
  listTcpSockets(netns: NetnsFd, states: number): TcpSocket[];
  /** SOCK_DESTROY: the peer gets a RST, the owner ECONNABORTED. False when it was gone. Needs CONFIG_INET_DIAG_DESTROY. */
  destroySocket(netns: NetnsFd, socket: TcpSocket): boolean;
}

/** Loads the addon once for each process. Throws with the hint `make build` when it has not been built. */
export function loadNative(): Native {
  return createRequire(import.meta.url)('./build/aquifer.node') as Native;
}
