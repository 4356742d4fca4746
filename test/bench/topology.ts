import { readdirSync } from 'node:fs';
import { serveCommand } from './load.ts';
import { end, Lines, run, start } from './processes.ts';

const PREFIX = 'aqbench';

export const NODE_ADDRESS = '10.99.1.1';
export const SERVER_ADDRESS = '10.99.2.2';

/**
 * Three network namespaces joined like the lab's: client pod ─ node ─ server pod, a veth pair each, the node routing.
 * Peers listen in the node; without one the client's packets are routed straight through it.
 */
export class Topology {
  readonly #stack = new AsyncDisposableStack();

  static async create(): Promise<Topology> {
    await removeStale();
    const topology = new Topology();
    try {
      await topology.#build();
    } catch (error) {
      await topology.close();
      throw error;
    }
    return topology;
  }

  name(part: 'client' | 'node' | 'server'): string {
    return `${PREFIX}-${process.pid}-${part}`;
  }

  /** Command line that runs `command` in a part. */
  inside(part: 'client' | 'node' | 'server', command: readonly string[]): [string, ...string[]] {
    return ['nsenter', `--net=/run/netns/${this.name(part)}`, '--', ...command];
  }

  async close(): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #build(): Promise<void> {
    for (const part of ['client', 'node', 'server'] as const) {
      await run('ip', 'netns', 'add', this.name(part));
      this.#stack.defer(async () => void (await run('ip', 'netns', 'delete', this.name(part))));
      await this.#ip(part, 'link set lo up');
      // Short connections use up the default ports within a second.
      await run(...this.inside(part, ['sysctl', '-qw', 'net.ipv4.ip_local_port_range=1024 65000']));
      await run(...this.inside(part, ['sysctl', '-qw', 'net.core.somaxconn=4096']));
    }
    await run(...this.inside('node', ['sysctl', '-qw', 'net.ipv4.ip_forward=1']));
    for (const [pod, subnet] of [
      ['client', '10.99.1'],
      ['server', '10.99.2'],
    ] as const) {
      await this.#ip('node', `link add ${pod} type veth peer name eth0 netns ${this.name(pod)}`);
      await this.#ip('node', `address add ${subnet}.1/24 dev ${pod}`);
      await this.#ip('node', `link set ${pod} up`);
      await this.#ip(pod, `address add ${subnet}.2/24 dev eth0`);
      await this.#ip(pod, 'link set eth0 up');
      await this.#ip(pod, `route add default via ${subnet}.1`);
    }
    const server = start(...this.inside('server', serveCommand()));
    this.#stack.defer(() => end(server));
    if ((await new Lines(server).next()) !== 'ready') throw new Error('the server of the benchmark did not start');
  }

  async #ip(part: 'client' | 'node' | 'server', words: string): Promise<void> {
    await run('ip', '-n', this.name(part), ...words.split(' '));
  }
}

/** Namespaces of a run that was killed; those of a live one carry its process id. */
async function removeStale(): Promise<void> {
  const alive = new Set(readdirSync('/proc'));
  for (const line of (await run('ip', 'netns', 'list')).split('\n')) {
    const [name = ''] = line.split(' ');
    const pid = new RegExp(`^${PREFIX}-(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !alive.has(pid)) await run('ip', 'netns', 'delete', name);
  }
}
