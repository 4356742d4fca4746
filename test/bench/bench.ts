import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lab } from '../support/lab.ts';
import type { Row, SuiteResult } from './figures.ts';
import { LOAD, LOAD_CPU } from './load.ts';
import { startLab } from './mesh.ts';
import { startAquifer } from './peers/aquifer.ts';
import { startEnvoy } from './peers/envoy.ts';
import { startHaproxy } from './peers/haproxy.ts';
import { startNone } from './peers/none.ts';
import { type Peer, PeerUnavailable } from './peers/peer.ts';
import { startPipe } from './peers/pipe.ts';
import { Topology } from './topology.ts';
import { processSeconds } from './usage.ts';

export interface BenchOptions {
  rounds: number;
  /** Of one measurement. */
  seconds: number;
  /** 1, or less to try the benchmark itself out. */
  scale: number;
  /** Null: all. */
  peers: readonly string[] | null;
}

const STARTERS: Readonly<Record<string, (bench: Bench) => Promise<Peer>>> = {
  none: async (bench) => startNone(await bench.topology()),
  haproxy: async (bench) => startHaproxy(await bench.topology(), bench.directory),
  envoy: async (bench) => startEnvoy(await bench.topology(), bench.directory),
  pipe: async (bench) => startPipe(await bench.topology(), bench.directory),
  aquifer: async (bench) => startAquifer(await bench.lab()),
};

export const PEER_NAMES: readonly string[] = Object.keys(STARTERS);

/** What `load` printed, and what it cost the proxy. */
export interface Loaded {
  result: Record<string, number>;
  proxySeconds: number;
}

/** The scratch network and the peers, made when first asked for and kept for all suites. */
export class Bench {
  readonly options: BenchOptions;
  readonly directory = mkdtempSync(join(tmpdir(), 'aquifer-bench-'));
  readonly #stack = new AsyncDisposableStack();
  /** Started, or why it could not be. */
  readonly #peers = new Map<string, Peer | string>();
  #topology: Promise<Topology> | null = null;
  #lab: Promise<Lab> | null = null;

  constructor(options: BenchOptions) {
    this.options = options;
    this.#stack.defer(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  /**
   * Measures every peer once in each round, after a round that is thrown away: caches and compilers are warm
   * then. `only` names the peers that the suite is about.
   */
  async interleave(
    measure: (peer: Peer) => Promise<Record<string, number>>,
    only: readonly string[] | null = null,
  ): Promise<SuiteResult> {
    const names = PEER_NAMES.filter((name) => only?.includes(name) ?? this.options.peers?.includes(name) ?? true);
    const peers: Peer[] = [];
    const notes: string[] = [];
    for (const name of names) {
      const peer = await this.#peer(name);
      if (typeof peer === 'string') notes.push(`${name}: ${peer}`);
      else peers.push(peer);
    }
    const rows: Row[] = peers.map(({ name }) => ({ name, samples: {} }));
    for (let round = 0; round <= this.options.rounds; round++) {
      for (const [index, peer] of peers.entries()) {
        this.progress(`round ${round}/${this.options.rounds}, ${peer.name}`);
        const figures = await measure(peer);
        const samples = rows[index]?.samples;
        if (round === 0 || samples === undefined) continue;
        for (const [key, value] of Object.entries(figures)) samples[key] = [...(samples[key] ?? []), value];
      }
    }
    this.progress('');
    return { rows, notes };
  }

  /** Runs the load generator at a peer's client and says what it cost. */
  async load(peer: Peer, mode: string, port: number, ...args: (string | number)[]): Promise<Loaded> {
    const command = ['taskset', '-c', LOAD_CPU, LOAD, mode, peer.address, `${port}`, ...args.map(String)];
    const [program, ...rest] = peer.client(command);
    const proxy = processSeconds(peer.pids);
    const stdout = await output(program, rest);
    const result = JSON.parse(stdout) as Record<string, number>;
    return {
      result,
      // Where there is no proxy there is nothing to show, rather than nothing spent.
      proxySeconds: peer.pids.length === 0 ? Number.NaN : processSeconds(peer.pids) - proxy,
    };
  }

  /** The scratch namespaces of the peers that are no mesh. */
  topology(): Promise<Topology> {
    this.#topology ??= this.#kept(Topology.create(), (topology) => topology.close());
    return this.#topology;
  }

  /** The lab of the suites that need one agent and a client and server under it. Throws `PeerUnavailable`. */
  lab(): Promise<Lab> {
    this.#lab ??= this.#kept(startLab(), (lab) => lab.down());
    return this.#lab;
  }

  /** One line on a terminal, rewritten; nothing elsewhere. */
  progress(text: string): void {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
  }

  async close(): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #kept<T>(made: Promise<T>, undo: (value: T) => Promise<void>): Promise<T> {
    const value = await made;
    this.#stack.defer(() => undo(value));
    return value;
  }

  async #peer(name: string): Promise<Peer | string> {
    const known = this.#peers.get(name);
    if (known !== undefined) return known;
    this.progress(`starting ${name}`);
    const peer = await this.#start(name);
    this.#peers.set(name, peer);
    return peer;
  }

  async #start(name: string): Promise<Peer | string> {
    try {
      const starter = STARTERS[name];
      if (starter === undefined) throw new PeerUnavailable('there is no such peer');
      return await this.#kept(starter(this), (peer) => peer.stop());
    } catch (error) {
      if (error instanceof PeerUnavailable) return error.message;
      throw error;
    }
  }
}

function output(program: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(text);
      else reject(new Error(`${program} ${args.join(' ')}: exit ${code}`));
    });
  });
}
