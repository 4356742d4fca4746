/** A process of the lab that is kept alive: controller, agent or node. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { netnsPath } from '../names.ts';
import { makeCgroup } from '../node/cgroups.ts';

const RESTART_MS = 1_000;
const ROOT = join(import.meta.dirname, '../../..');

export interface ChildSettings {
  /** `controller`, `agent/node-1`, … */
  name: string;
  /** Path of the program below the repository, and its arguments. */
  program: string;
  args: readonly string[];
  netns: string;
  cgroup: string;
  logFile: string;
  /** With an IPC channel, whose messages come here. */
  onMessage?: (message: unknown) => void;
  onStart?: (process: ChildProcess) => void;
  log: (text: string) => void;
  onPid: () => void;
}

/** A crash is followed by a restart after a second; a stop on purpose is not. */
export class Child {
  readonly settings: ChildSettings;
  #process: ChildProcess | null = null;
  #stopped = true;
  #restarts = 0;
  #lastExit: string | null = null;
  readonly #drained = new Set<ChildProcess>();

  constructor(settings: ChildSettings) {
    this.settings = settings;
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }
  get state(): 'running' | 'stopped' | 'crashed' {
    if (this.#process !== null) return 'running';
    return this.#stopped ? 'stopped' : 'crashed';
  }
  get restarts(): number {
    return this.#restarts;
  }
  get lastExit(): string | null {
    return this.#lastExit;
  }

  start(): void {
    this.#stopped = false;
    this.#launch();
  }

  /** Starts another one beside the running one, which ends by itself: the successor tells it to. */
  succeed(): void {
    const old = this.#process;
    if (old !== null) this.#drained.add(old);
    this.start();
  }

  send(message: object): void {
    if (this.#process?.connected === true) this.#process.send(message);
  }

  /** Resolves when it is gone; SIGKILL follows after `graceMs`. */
  async stop(signal: NodeJS.Signals, graceMs: number): Promise<void> {
    this.#stopped = true;
    await this.#end(signal, graceMs);
  }

  async #end(signal: NodeJS.Signals, graceMs: number): Promise<void> {
    const current = this.#process;
    if (current === null) return;
    const gone = new Promise<void>((resolve) => current.once('exit', () => resolve()));
    current.kill(signal);
    const timer = setTimeout(() => current.kill('SIGKILL'), graceMs);
    await gone;
    clearTimeout(timer);
  }

  #launch(): void {
    const { settings } = this;
    makeCgroup(settings.cgroup);
    const log = openSync(settings.logFile, 'a', 0o600);
    const script = 'echo 0 > "$1/cgroup.procs"; netns=$2; shift 2; exec nsenter --net="$netns" -- "$@"';
    const node = [process.execPath, join(ROOT, settings.program), ...settings.args];
    const started = spawn('sh', ['-euc', script, 'sh', settings.cgroup, netnsPath(settings.netns), ...node], {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', log, log, ...(settings.onMessage === undefined ? [] : (['ipc'] as const))],
    });
    closeSync(log);
    this.#process = started;
    if (settings.onMessage !== undefined) started.on('message', settings.onMessage);
    started.on('error', (error) => settings.log(`${settings.name}: ${error.message}`));
    started.on('exit', (code, signal) => void this.#onExit(started, signal ?? `exit ${code}`));
    settings.onStart?.(started);
    settings.onPid();
  }

  async #onExit(ended: ChildProcess, how: string): Promise<void> {
    const { name, log } = this.settings;
    if (this.#drained.delete(ended)) {
      log(`${name}: the predecessor (pid ${ended.pid}) has ended: ${how}`);
      return;
    }
    if (this.#process !== ended) return;
    this.#process = null;
    this.#lastExit = how;
    this.settings.onPid();
    if (this.#stopped) return;
    log(`${name} ended: ${how}; it starts again in ${RESTART_MS} ms`);
    await sleep(RESTART_MS);
    if (this.#stopped || this.#process !== null) return;
    this.#restarts++;
    this.#launch();
  }
}
