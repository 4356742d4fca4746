/** Real TCP connections and relays in a scratch namespace, for the tests of the addon's sockets. Root only. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import {
  type Accepted,
  type ConnectOptions,
  type Endpoint,
  type Listener,
  loadNative,
  type NativeError,
  type Relay,
  type RelayEnd,
  type RelayOptions,
} from '../../../native/index.ts';

export const native = loadNative();

/** What a test undoes at its end, also when it failed: AVA's `t.teardown`. */
export interface Scope {
  teardown(undo: () => void): void;
}

export function scratchNetns(t: Scope): number {
  const netns = native.createNetns();
  t.teardown(() => closeSync(netns));
  return netns;
}

/** What `run` throws, as the surface promises it. */
export function failure(run: () => unknown): NativeError {
  try {
    run();
  } catch (error) {
    return error as NativeError;
  }
  throw new Error('did not throw');
}

/** Runs `ip` inside a namespace that has no name. */
export function ip(netns: number, ...words: string[]): void {
  const run = spawnSync('nsenter', ['--net=/proc/self/fd/3', 'ip', ...words], {
    stdio: ['ignore', 'pipe', 'pipe', netns],
    encoding: 'utf8',
  });
  if (run.status !== 0) throw new Error(`ip ${words.join(' ')}: ${run.stderr}`);
}

export function connectOptions(netns: number, to: Endpoint, changes: Partial<ConnectOptions> = {}): ConnectOptions {
  return { netns, to, from: null, transparent: false, mark: 0, timeoutMs: 5000, ...changes };
}

/** The connected descriptor, which the caller owns. */
export function connect(options: ConnectOptions): Promise<{ fd: number; local: Endpoint }> {
  return new Promise((resolve, reject) => {
    native.connect(options, (error, fd, local) => {
      if (error !== null || local === null) reject(error);
      else resolve({ fd, local });
    });
  });
}

/** A listener and the connections that it accepted, in order. */
export class Acceptor {
  readonly listener: Listener;
  readonly endpoint: Endpoint;
  #waiting: ((accepted: Accepted) => void)[] = [];
  #ready: Accepted[] = [];
  readonly #netns: number;

  constructor(t: Scope, netns: number, address = '127.0.0.1') {
    this.#netns = netns;
    const options = { netns, address: '::', port: 0, backlog: 1024, transparent: false };
    this.listener = native.listen(
      options,
      64,
      (accepted) => {
        const next = this.#waiting.shift();
        if (next === undefined) this.#ready.push(accepted);
        else next(accepted);
      },
      (error) => {
        throw error;
      },
    );
    this.endpoint = { address, port: this.listener.port };
    t.teardown(() => this.listener.close());
  }

  accept(): Promise<Accepted> {
    const ready = this.#ready.shift();
    return ready === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(ready);
  }

  /** Both ends of one connection. */
  async pair(): Promise<[client: number, server: number]> {
    const { fd, local } = await connect(connectOptions(this.#netns, this.endpoint));
    const accepted = await this.accept();
    if (accepted.remote.port !== local.port) throw new Error('accepted another connection');
    return [fd, accepted.fd];
  }
}

/** A Node socket over a descriptor: half-open, not reading, errors kept instead of thrown. */
export function socket(t: Scope, fd: number): Socket & { failed: NodeJS.ErrnoException | null } {
  const made = Object.assign(new Socket({ fd, allowHalfOpen: true }), { failed: null as NodeJS.ErrnoException | null });
  made.pause();
  made.on('error', (error) => {
    made.failed = error;
  });
  t.teardown(() => made.destroy());
  return made;
}

export interface Relayed {
  client: ReturnType<typeof socket>;
  server: ReturnType<typeof socket>;
  relay: Relay;
  end: Promise<RelayEnd>;
  /** The relay's own descriptors. */
  downstream: number;
  upstream: number;
}

export const relayDefaults: RelayOptions = { bufferBytes: 65536, idleTimeoutMs: 0 };

/** client — relay — server. */
export async function relayed(t: Scope, via: Acceptor, changes: Partial<RelayOptions> = {}): Promise<Relayed> {
  const [clientFd, downstream] = await via.pair();
  const [upstream, serverFd] = await via.pair();
  const { promise: end, resolve } = Promise.withResolvers<RelayEnd>();
  const relay = native.relay(downstream, upstream, { ...relayDefaults, ...changes }, resolve);
  t.teardown(() => relay.close('reset'));
  return { client: socket(t, clientFd), server: socket(t, serverFd), relay, end, downstream, upstream };
}

/** Everything until the end of the stream, as length and SHA-256. (`for await` would destroy a half-open socket.) */
export async function digest(from: Socket): Promise<{ bytes: number; hash: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  from.on('data', (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  from.resume();
  await once(from, 'end');
  return { bytes, hash: hash.digest('hex') };
}

/** The next `bytes` bytes. */
export async function read(from: Socket, bytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  for (let missing = bytes; missing > 0; ) {
    const chunk = from.read() as Buffer | null;
    if (chunk === null) {
      await once(from, 'readable');
      continue;
    }
    chunks.push(chunk.subarray(0, missing));
    if (chunk.length > missing) from.unshift(chunk.subarray(missing));
    missing -= chunk.length;
  }
  return Buffer.concat(chunks).toString('latin1');
}

/** Waits for the error that a peer's RST causes. */
export async function errorOf(of: ReturnType<typeof socket>): Promise<string | undefined> {
  of.resume();
  if (of.failed === null) await once(of, 'error');
  return of.failed?.code;
}

export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** A small generator with a seed, so that a failure can be run again. */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
