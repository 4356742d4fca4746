import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { LOAD, LOAD_CPU } from './load.ts';
import type { Peer } from './peers/peer.ts';
import { end, Lines, start } from './processes.ts';

/** When held connections were closed from the other side, in milliseconds since 1970. */
export interface Closed {
  closed: number;
  p50Ms: number;
  p99Ms: number;
  lastMs: number;
}

/** Connections that a peer's client opened, each proved by a byte there and back, and then leaves alone. */
export class Holder {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Lines;

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    this.#lines = new Lines(child);
  }

  /** Resolves when all of them are open. */
  static async open(peer: Peer, connections: number): Promise<Holder> {
    const command = ['taskset', '-c', LOAD_CPU, LOAD, 'hold', peer.address, `${peer.ports.echo}`, `${connections}`];
    const holder = new Holder(start(...peer.client(command)));
    if ((await holder.#lines.next()) === null) {
      throw new Error(`${peer.name}: ${connections} connections could not be opened`);
    }
    return holder;
  }

  /** Resolves when all are closed from the other side, or at once with those that are when `wait` is false. */
  async finish(wait: boolean): Promise<Closed> {
    if (!wait) this.#child.stdin.end();
    const line = await this.#lines.next();
    await end(this.#child);
    if (line === null) throw new Error('the holder of the connections ended without a result');
    return JSON.parse(line) as Closed;
  }
}
