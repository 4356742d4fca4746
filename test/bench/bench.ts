import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Row, SuiteResult } from './figures.ts';
import { LOAD, LOAD_CPU } from './load.ts';
import { startAquifer } from './peers/aquifer.ts';
import { startEnvoy } from './peers/envoy.ts';
import { startHaproxy } from './peers/haproxy.ts';
import { startNone } from './peers/none.ts';
import { type Peer, PeerUnavailable } from './peers/peer.ts';
import { startPipe } from './peers/pipe.ts';
import { Topology } from './topology.ts';
import { machineSeconds, processSeconds } from './usage.ts';

export interface BenchOptions {
  rounds: number;
  /** Of one measurement. */
  seconds: number;
  /** 1, or less to try the benchmark itself out. */
  scale: number;
  /** Null: all. */
  peers: readonly string[] | null;
}

const STARTERS: Readonly<Record<string, (topology: Topology, directory: string) => Promise<Peer>>> = {
  none: startNone,
  haproxy: startHaproxy,
  envoy: startEnvoy,
  pipe: startPipe,
  aquifer: startAquifer,
};

export const PEER_NAMES: readonly string[] = Object.keys(STARTERS);

/** What `load` printed, and what it cost while it ran. */
export interface Loaded {
  result: Record<string, number>;
  proxySeconds: number;
  machineSeconds: number;
}

/** The scratch network and the peers, made when first asked for and kept for all suites. */
export class Bench {
  readonly options: BenchOptions;
  readonly directory = mkdtempSync(join(tmpdir(), 'aquifer-bench-'));
  readonly #stack = new AsyncDisposableStack();
  readonly #notes: string[] = [];
  #peers: Promise<Peer[]> | null = null;

  constructor(options: BenchOptions) {
    this.options = options;
    this.#stack.defer(() => rmSync(this.directory, { recursive: true, force: true }));
  }

  /** Measures every peer once in each round, after a round that is thrown away: caches and compilers are warm then. */
  async interleave(measure: (peer: Peer) => Promise<Record<string, number>>): Promise<SuiteResult> {
    this.#peers ??= this.#startPeers();
    const peers = await this.#peers;
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
    return { rows, notes: this.#notes };
  }

  /** Runs the load generator at a peer's client and says what it cost. */
  async load(peer: Peer, mode: string, port: number, ...args: (string | number)[]): Promise<Loaded> {
    const command = ['taskset', '-c', LOAD_CPU, LOAD, mode, peer.address, `${port}`, ...args.map(String)];
    const [program, ...rest] = peer.client(command);
    const proxy = processSeconds(peer.pids);
    const machine = machineSeconds();
    const stdout = await output(program, rest);
    const result = JSON.parse(stdout) as Record<string, number>;
    return {
      result,
      // Where there is no proxy there is nothing to show, rather than nothing spent.
      proxySeconds: peer.pids.length === 0 ? Number.NaN : processSeconds(peer.pids) - proxy,
      machineSeconds: machineSeconds() - machine,
    };
  }

  /** Something to undo at the end, in reverse order. */
  defer(undo: () => Promise<void> | void): void {
    this.#stack.defer(undo);
  }

  /** One line on a terminal, rewritten; nothing elsewhere. */
  progress(text: string): void {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
  }

  async close(): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #startPeers(): Promise<Peer[]> {
    const topology = await Topology.create();
    this.defer(() => topology.close());
    const peers: Peer[] = [];
    for (const [name, start] of Object.entries(STARTERS)) {
      if (this.options.peers?.includes(name) === false) continue;
      try {
        const peer = await start(topology, this.directory);
        this.defer(() => peer.stop());
        peers.push(peer);
      } catch (error) {
        if (!(error instanceof PeerUnavailable)) throw error;
        this.#notes.push(`${name}: ${error.message}`);
      }
    }
    return peers;
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
