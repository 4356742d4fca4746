/** Scratch networks for kernel tests: a bridge in its own namespace, pods with veth, IPv4 and IPv6, and cgroups. Root only. */
import { type ChildProcess, execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** AVA's `t`, or what else undoes at the end. */
export interface Scope {
  teardown(undo: () => void): void;
}

export interface ScratchPod {
  name: string;
  /** Of the `ip netns` name. */
  netns: string;
  /** Path. */
  netnsPath: string;
  /** Its own, in the v2 hierarchy; processes of `start` and `run` live there. */
  cgroup: string;
  v4: string;
  v6: string;
}

/** Who a test program is. `container`: uid 0 with a container runtime's default capabilities, CAP_NET_RAW among them. */
export type Privilege = 'none' | 'container' | 'net_admin' | 'root';

const CONTAINER = [
  'chown',
  'dac_override',
  'fowner',
  'fsetid',
  'kill',
  'setgid',
  'setuid',
  'setpcap',
  'net_bind_service',
  'net_raw',
  'sys_chroot',
  'mknod',
  'audit_write',
  'setfcap',
];

/** A package of node_modules/.bin is called `nft` too, and comes first in npm's PATH. */
export const SYSTEM_ENV = Object.freeze({ PATH: '/usr/sbin:/usr/bin:/sbin:/bin' });

let serial = 0;

export function cgroupRoot(): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const mount = mounts.map((line) => line.split(' ')).find((fields) => fields[2] === 'cgroup2');
  if (mount?.[1] === undefined) throw new Error('no cgroup v2 hierarchy is mounted');
  return mount[1];
}

/** /sys/fs/bpf, mounted when it is not. */
export function bpffs(): string {
  const path = '/sys/fs/bpf';
  if (!readFileSync('/proc/self/mounts', 'utf8').includes(` ${path} bpf `)) {
    spawnSync('mount', ['-t', 'bpf', 'bpf', path]);
  }
  return path;
}

/** One bridge with pods; `10.77.0.1` and `fd77::1` are the node. All of it goes at the end of the scope. */
export class ScratchNet {
  readonly name: string;
  readonly cgroup: string;
  readonly node: ScratchPod;
  #pods = 0;

  constructor(t: Scope) {
    this.name = `aqt-${process.pid}-${serial++}`;
    this.cgroup = join(cgroupRoot(), this.name);
    mkdirSync(this.cgroup);
    t.teardown(() => this.#remove());
    const netns = `${this.name}-node`;
    this.node = this.#describe('node', netns, this.makeCgroup('node'), 1);
    execFileSync('ip', ['netns', 'add', netns]);
    batch(netns, [
      'link set lo up',
      'link add br0 type bridge',
      'link set br0 up',
      'addr add 10.77.0.1/16 dev br0',
      'addr add fd77::1/64 dev br0 nodad',
    ]);
    sysctl(netns, 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  }

  /** Below the scratch root, such as `agent` or `pods/a`. */
  makeCgroup(path: string): string {
    const full = join(this.cgroup, path);
    mkdirSync(full, { recursive: true });
    return full;
  }

  pod(name: string): ScratchPod {
    const index = ++this.#pods + 1;
    const pod = this.#describe(name, `${this.name}-${name}`, this.makeCgroup(`pods/${name}`), index);
    const veth = `v${index}`;
    execFileSync('ip', ['netns', 'add', pod.netns]);
    batch(this.node.netns, [
      `link add ${veth} type veth peer name eth0 netns ${pod.netns}`,
      `link set ${veth} master br0 up`,
    ]);
    batch(pod.netns, [
      'link set lo up',
      'link set eth0 up',
      `addr add ${pod.v4}/16 dev eth0`,
      `addr add ${pod.v6}/64 dev eth0 nodad`,
      'route add default via 10.77.0.1',
      'route add default via fd77::1',
    ]);
    // As container runtimes do.
    sysctl(pod.netns, 'net.ipv4.ip_unprivileged_port_start=0');
    return pod;
  }

  /** A process in the pod's namespace and cgroup. */
  start(
    pod: Pick<ScratchPod, 'cgroup' | 'netnsPath'>,
    who: Privilege,
    command: readonly string[],
    options: SpawnOptions = {},
  ): ChildProcess {
    const [file, ...rest] = inPod(pod, who, command);
    return spawn(file ?? '', rest, { stdio: ['pipe', 'pipe', 'pipe'], env: SYSTEM_ENV, ...options });
  }

  /** As `start`, to its end. */
  run(pod: ScratchPod, who: Privilege, command: readonly string[], timeoutMs = 15_000) {
    const [file, ...rest] = inPod(pod, who, command);
    const { status, stdout, stderr } = spawnSync(file ?? '', rest, {
      encoding: 'utf8',
      timeout: timeoutMs,
      env: SYSTEM_ENV,
    });
    return { status, stdout, stderr };
  }

  #describe(name: string, netns: string, cgroup: string, index: number): ScratchPod {
    const v6 = `fd77::${index.toString(16)}`;
    return { name, netns, netnsPath: `/run/netns/${netns}`, cgroup, v4: `10.77.0.${index}`, v6 };
  }

  #remove(): void {
    for (const pid of pidsBelow(this.cgroup)) tryKill(pid);
    for (const name of readdirSync('/run/netns')) {
      if (name.startsWith(`${this.name}-`)) spawnSync('ip', ['netns', 'del', name]);
    }
    removeCgroup(this.cgroup);
  }
}

/** The command line that runs `command` in the pod's cgroup and namespace as `who`. */
export function inPod(
  pod: Pick<ScratchPod, 'cgroup' | 'netnsPath'>,
  who: Privilege,
  command: readonly string[],
): string[] {
  const enter = ['nsenter', `--net=${pod.netnsPath}`, ...privileges(who), ...command];
  return ['sh', '-c', `echo $$ > ${pod.cgroup}/cgroup.procs && exec "$@"`, 'sh', ...enter];
}

function privileges(who: Privilege): string[] {
  if (who === 'root') return [];
  if (who === 'none') {
    const user = ['--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs'];
    return ['setpriv', ...user, '--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all'];
  }
  const kept = who === 'net_admin' ? [...CONTAINER, 'net_admin', 'sys_admin'] : CONTAINER;
  const set = kept.map((name) => `+${name}`).join(',');
  return ['setpriv', '--inh-caps=-all', '--ambient-caps=-all', `--bounding-set=-all,${set}`];
}

export function sysctl(netns: string, ...settings: string[]): void {
  execFileSync('ip', ['netns', 'exec', netns, 'sysctl', '-qw', ...settings]);
}

/** `ip -batch` inside a namespace. */
export function batch(netns: string, lines: readonly string[]): void {
  execFileSync('ip', ['-n', netns, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}

function pidsBelow(cgroup: string): number[] {
  if (!existsSync(cgroup)) return [];
  const own = readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  const below = readdirSync(cgroup, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...own, ...below.flatMap((entry) => pidsBelow(join(cgroup, entry.name)))];
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Ended by itself.
  }
}

function removeCgroup(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  }
  // A killed process leaves its cgroup a moment later.
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
  throw new Error(`processes remain in ${path}`);
}

/** Removes a bpffs directory and what is pinned below. */
export function removePins(path: string): void {
  rmSync(path, { recursive: true, force: true });
}
