import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Accepted, ConnectOptions, Endpoint, Listener, Native, NetnsFd } from '../../../native/index.ts';
import { Pins } from '../pins.ts';

const ROLES = ['agent', 'node', 'pod'] as const;
export type Role = (typeof ROLES)[number];

export interface Connected {
  fd: number;
  local: Endpoint | null;
}

/** What a self-test that was killed left behind. */
export function sweep(native: Native, cgroup2: string, bpffs: string): void {
  const left = readdirSync(cgroup2).flatMap((name) => /^aquifer-selftest-(\d+)$/.exec(name)?.[1] ?? []);
  for (const pid of left.filter((each) => !existsSync(`/proc/${each}`))) {
    new Pins(native, bpffs, `selftest-${pid}`).removeAll();
    removeCgroups(join(cgroup2, `aquifer-selftest-${pid}`));
  }
}

/** A network namespace and three cgroups of which this process plays the inhabitants in turn. */
export class Scratch {
  readonly root: string;
  readonly netns: NetnsFd;
  readonly #native: Native;
  readonly #home: string;
  readonly #sockets: number[] = [];
  readonly #listeners: Listener[] = [];

  /** Throws `NativeError`, or what `mkdir` throws. */
  constructor(native: Native, cgroup2: string) {
    this.#native = native;
    const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
    this.#home = join(cgroup2, own);
    this.root = join(cgroup2, `aquifer-selftest-${process.pid}`);
    mkdirSync(this.root);
    try {
      for (const role of ROLES) mkdirSync(this.cgroup(role));
      this.netns = native.createNetns();
    } catch (error) {
      removeCgroups(this.root);
      throw error;
    }
  }

  cgroup(role: Role): string {
    return join(this.root, role);
  }

  /** A socket belongs to the cgroup in which it was made. */
  as<T>(role: Role, work: () => T): T {
    writeFileSync(join(this.cgroup(role), 'cgroup.procs'), String(process.pid));
    try {
      return work();
    } finally {
      writeFileSync(join(this.#home, 'cgroup.procs'), String(process.pid));
    }
  }

  listen(port: number, transparent: boolean, onAccept: (accepted: Accepted) => void): Listener {
    const listener = this.#native.listen(
      { netns: this.netns, address: '::', port, backlog: 16, transparent },
      4,
      (accepted) => {
        this.#sockets.push(accepted.fd);
        onAccept(accepted);
      },
      () => {},
    );
    this.#listeners.push(listener);
    return listener;
  }

  /** Rejects with `NativeError`. */
  connect(role: Role, to: Endpoint, changes: Partial<ConnectOptions> = {}): Promise<Connected> {
    const base = { netns: this.netns, to, from: null, transparent: false, mark: 0, timeoutMs: 2_000 };
    return new Promise((resolve, reject) => {
      this.as(role, () =>
        this.#native.connect({ ...base, ...changes }, (error, fd, local) => {
          if (error !== null) return reject(error);
          this.#sockets.push(fd);
          resolve({ fd, local });
        }),
      );
    });
  }

  close(fd: number): void {
    this.#sockets.splice(this.#sockets.indexOf(fd), 1);
    this.#native.closeSocket(fd, false);
  }

  remove(): void {
    for (const listener of this.#listeners) listener.close();
    for (const fd of this.#sockets) this.#native.closeSocket(fd, true);
    this.#native.closeSocket(this.netns, false);
    removeCgroups(this.root);
  }
}

function removeCgroups(root: string): void {
  for (const path of [...ROLES.map((role) => join(root, role)), root]) if (existsSync(path)) rmdirSync(path);
}
