import type { Accepted, BpfMap, Native } from '../../../native/index.ts';
import { LISTENER_KINDS, type ListenerKind, MARK } from '../../model/datapath.ts';
import { MeshError } from '../../model/errors.ts';
import { MAP_NAMES, type MapName, Objects } from '../objects.ts';
import { Pins } from '../pins.ts';
import { Redirect } from '../redirect.ts';
import type { PodDescription, RedirectConfig } from '../types.ts';
import type { Report } from './report.ts';
import { Scratch, sweep } from './scratch.ts';

/** Documentation addresses (RFC 5737, RFC 3849): nothing leaves the scratch namespace. */
const OUTSIDE = ['192.0.2.1', '2001:db8::1'] as const;
const CLIENT = '192.0.2.7';
const APP_PORT = 8080;
const PATIENCE_MS = 2_000;

/** Loads, attaches and exercises every hook on a pod that consists of `lo` alone. Leaves nothing behind. */
export async function exercise(report: Report, native: Native, cgroup2: string, bpffs: string): Promise<void> {
  let scratch: Scratch;
  try {
    sweep(native, cgroup2, bpffs);
    scratch = new Scratch(native, cgroup2);
  } catch (error) {
    report.failed('scratch namespace and cgroups', (error as Error).message, 'CAP_SYS_ADMIN, and a writable cgroup2');
    return;
  }
  const config: RedirectConfig = {
    instance: `selftest-${process.pid}`,
    bpffs,
    cgroupRoot: scratch.root,
    agentCgroup: scratch.cgroup('agent'),
    nodeCgroup: scratch.cgroup('node'),
    limits: { olderConnectionsPerPod: 16, kernelEventsPerSecond: 20 },
  };
  const redirect = new Redirect(native, config);
  try {
    await new Exercise(report, native, scratch, redirect, config).run();
  } finally {
    try {
      redirect.close({ detach: true });
      new Pins(native, bpffs, config.instance).removeAll();
    } finally {
      scratch.remove();
    }
  }
}

class Exercise {
  readonly #report: Report;
  readonly #native: Native;
  readonly #scratch: Scratch;
  readonly #redirect: Redirect;
  readonly #config: RedirectConfig;
  readonly #pod: PodDescription;
  readonly #accepted: { listener: ListenerKind | 'app'; accepted: Accepted }[] = [];

  constructor(report: Report, native: Native, scratch: Scratch, redirect: Redirect, config: RedirectConfig) {
    this.#report = report;
    this.#native = native;
    this.#scratch = scratch;
    this.#redirect = redirect;
    this.#config = config;
    const addresses = ['127.0.0.1', '::1'];
    const netns = `/proc/self/fd/${scratch.netns}`;
    this.#pod = {
      uid: 'selftest',
      namespace: 'selftest',
      name: 'pod',
      netns,
      cgroup: scratch.cgroup('pod'),
      addresses,
    };
  }

  async run(): Promise<void> {
    const loaded = await this.#step('programs load, attach and are pinned', async () => {
      const { reused } = await this.#redirect.start();
      if (reused) throw new Error('found pins of another self-test');
      return '';
    });
    if (!loaded) return;
    const enrolled = await this.#step('a pod is enrolled', () => this.#enrol());
    if (!enrolled) return;
    for (const address of OUTSIDE) {
      const name = `connect marks, rules route and steer captures (IPv${address.includes(':') ? 6 : 4})`;
      await this.#step(name, () => this.#capture(address));
    }
    await this.#step('connect refuses link-local destinations', () => this.#refused());
    await this.#step('the agent is recognised by its cgroup', () => this.#exempt());
    await this.#step('sockops records the agent’s connection, steer passes it to the app', () => this.#record('agent'));
    await this.#step('sockops records a process of the node, steer passes it to a probe port', () =>
      this.#record('node'),
    );
    await this.#step('guard judges packets', () => this.#guard());
    await this.#step('sock_diag lists sockets and SOCK_DESTROY ends one', () => this.#destroy());
    await this.#step('a successor goes on with pinned state', () => this.#takeOver());
    await this.#step('un-enrolment leaves the pod as it was', () => this.#unenrol());
  }

  async #step(name: string, work: () => Promise<string> | string): Promise<boolean> {
    try {
      this.#report.ok(name, await work());
      return true;
    } catch (error) {
      const hint = error instanceof MeshError && error.hint !== null ? error.hint : FIXES[name.split(' ')[0] ?? ''];
      this.#report.failed(name, (error as Error).message, hint ?? 'a kernel that supports what the lines above name');
      return false;
    }
  }

  #enrol(): string {
    const started = performance.now();
    const { slot } = this.#redirect.enrol(this.#pod);
    const ms = performance.now() - started;
    const descriptors = {} as Record<ListenerKind, number>;
    this.#scratch.as('agent', () => {
      for (const listener of LISTENER_KINDS) {
        descriptors[listener] = this.#scratch.listen(0, true, (accepted) =>
          this.#accepted.push({ listener, accepted }),
        ).fd;
      }
    });
    this.#redirect.setListeners(slot, descriptors);
    this.#redirect.setProbePorts(slot, [APP_PORT]);
    this.#scratch.as('pod', () =>
      this.#scratch.listen(APP_PORT, false, (accepted) => this.#accepted.push({ listener: 'app', accepted })),
    );
    return `${ms.toFixed(1)} ms`;
  }

  async #capture(address: string): Promise<string> {
    await this.#scratch.connect('pod', { address, port: 80 });
    const { listener, accepted } = await this.#next();
    if (listener !== 'outbound') throw new Error(`it came to the ${listener} listener`);
    if (accepted.local.address !== address || accepted.local.port !== 80) throw new Error('the destination was lost');
    if (accepted.mark !== MARK.capture) throw new Error(`tcp_fwmark_accept gave mark ${accepted.mark}`);
    return 'original destination and mark arrive with the accepted socket';
  }

  async #refused(): Promise<string> {
    try {
      await this.#scratch.connect('pod', { address: 'fe80::1', port: 80 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EPERM') return 'EPERM';
      throw error;
    }
    throw new Error('the connection was made');
  }

  async #exempt(): Promise<string> {
    const before = this.#redirect.verdicts().PASS_AGENT ?? 0;
    const { fd } = await this.#scratch.connect('agent', { address: '127.0.0.1', port: APP_PORT });
    await this.#next();
    this.#scratch.close(fd);
    if ((this.#redirect.verdicts().PASS_AGENT ?? 0) === before) throw new Error('its connection was marked');
    return '';
  }

  async #record(role: 'agent' | 'node'): Promise<string> {
    const reason = role === 'agent' ? 'PASS_RECORDED' : 'PASS_PROBE';
    const before = this.#redirect.verdicts()[reason] ?? 0;
    const from = { address: CLIENT, port: 0 };
    const to = { address: '127.0.0.1', port: APP_PORT };
    const { fd } = await this.#scratch.connect(role, to, { from, transparent: true, mark: MARK.toApp });
    const { listener, accepted } = await this.#next();
    if (listener !== 'app') throw new Error(`it came to the ${listener} listener`);
    if (accepted.remote.address !== CLIENT) throw new Error(`the app sees ${accepted.remote.address}`);
    if ((this.#redirect.verdicts()[reason] ?? 0) === before) throw new Error(`steer did not count ${reason}`);
    const map = this.#native.openPinnedMap(
      new Pins(this.#native, this.#config.bpffs, this.#config.instance).map('originated'),
    );
    try {
      if (map.entries().length !== 1) throw new Error(`${map.entries().length} records instead of 1`);
      this.#scratch.close(fd);
      this.#scratch.close(accepted.fd);
      await until('the record goes with the socket', () => map.entries().length === 0);
    } finally {
      map.close();
    }
    return 'the record is gone with the socket';
  }

  #guard(): string {
    if ((this.#redirect.verdicts().PACKET_LOOPBACK ?? 0) === 0) throw new Error('it saw none of the packets above');
    const objects = new Objects(this.#native, 1);
    const first = objects.load('connect', {});
    const maps = Object.fromEntries(MAP_NAMES.map((name) => [name, first.map(name)])) as Record<MapName, BpfMap>;
    const guard = objects.loadForPod('guard', 0, [], maps);
    const program = guard.program('aq_guard_egress');
    try {
      const [tcp, sctp] = [6, 132].map((protocol) => program.testRun(packet(protocol), new Uint8Array(), 1).returned);
      if (tcp !== 1) throw new Error('TCP over lo was dropped');
      if (sctp !== 0) throw new Error('SCTP was passed');
    } finally {
      program.close();
      guard.close();
      first.close();
      for (const name of MAP_NAMES) maps[name].close();
    }
    return '';
  }

  async #destroy(): Promise<string> {
    const { fd, local } = await this.#scratch.connect('pod', { address: OUTSIDE[0], port: 81 });
    await this.#next();
    const sockets = this.#native.listTcpSockets(this.#scratch.netns, 1 << 1);
    const socket = sockets.find((each) => each.local.port === local?.port && each.remote.port === 81);
    if (socket === undefined) throw new Error('the connection was not listed');
    if (!this.#native.destroySocket(this.#scratch.netns, socket)) throw new Error('the socket was not found');
    const left = this.#native.listTcpSockets(this.#scratch.netns, 1 << 1);
    if (left.some(({ cookie }) => cookie === socket.cookie)) throw new Error('the socket lives');
    this.#scratch.close(fd);
    return '';
  }

  async #takeOver(): Promise<string> {
    const successor = new Redirect(this.#native, this.#config);
    const { reused } = await successor.start();
    try {
      if (!reused) throw new Error('it found nothing');
      const started = performance.now();
      successor.enrol(this.#pod);
      const ms = performance.now() - started;
      const drifts = successor.verify(this.#pod.uid);
      if (drifts.length > 0) throw new Error(drifts.map(({ what, detail }) => `${what}: ${detail}`).join(', '));
      return `${ms.toFixed(1)} ms for a pod`;
    } finally {
      successor.close({ detach: false });
    }
  }

  #unenrol(): string {
    this.#redirect.unenrol(this.#pod.uid);
    for (const attach of ['ingress', 'egress'] as const) {
      const left = this.#native.queryCgroup(this.#pod.cgroup, attach).filter(({ name }) => name.startsWith('aq_guard'));
      const above = this.#native.queryCgroup(this.#scratch.root, attach).map(({ id }) => id);
      if (left.some(({ id }) => !above.includes(id))) throw new Error(`guard is still attached (${attach})`);
    }
    return '';
  }

  async #next(): Promise<{ listener: ListenerKind | 'app'; accepted: Accepted }> {
    await until('a listener gets the connection', () => this.#accepted.length > 0);
    const next = this.#accepted.shift();
    if (next === undefined) throw new Error('no connection');
    return next;
  }
}

/** By the first word of a step. */
const FIXES: Readonly<Record<string, string>> = {
  connect: 'CONFIG_CGROUP_BPF, CONFIG_IP_MULTIPLE_TABLES, CONFIG_IPV6_MULTIPLE_TABLES and Linux 5.9 or later',
  sockops: 'CONFIG_CGROUP_BPF, and the cgroups of agent and kubelet in the v2 hierarchy',
  sock_diag: 'CONFIG_INET_DIAG=y and CONFIG_INET_DIAG_DESTROY=y',
};

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** An Ethernet frame with an IPv4 packet; a test run sees it as if it went over `lo`. */
function packet(protocol: number): Uint8Array {
  const bytes = new Uint8Array(14 + 20 + 20);
  const view = new DataView(bytes.buffer);
  view.setUint16(12, 0x0800, false);
  view.setUint8(14, 0x45);
  view.setUint16(16, 40, false);
  view.setUint8(22, 64);
  view.setUint8(23, protocol);
  view.setUint8(34 + 12, 5 << 4);
  return bytes;
}
