/** One container of a pod: a process and what it leaves behind, restarted as its pod's policy says. */
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Container, ContainerState, ContainerStatus, LifecycleHandler } from '../cluster/objects.ts';
import { isPopulated, killCgroup, makeCgroup, removeCgroup } from './cgroups.ts';
import { type Entry, enter } from './launch.ts';
import { execProbe, httpProbe, ProbeLoop, type ProbeTarget, probeOnce } from './probes.ts';

const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 30_000;
/** One that ran for so long is taken to be healthy: its next crash starts at the first backoff again. */
const HEALTHY_RUN_MS = 60_000;
const POLL_MS = 10;
const HOOK_TIMEOUT_MS = 30_000;

export interface ContainerSettings {
  container: Container;
  command: readonly string[];
  entry: Entry;
  address: string;
  logFile: string;
  restartPolicy: string;
  onChange: () => void;
}

export class ContainerRun {
  readonly #settings: ContainerSettings;
  #child: ChildProcess | null = null;
  #state: ContainerState = { waiting: { reason: 'ContainerCreating' } };
  #lastState: ContainerState | undefined;
  #restarts = 0;
  #crashes = 0;
  #ready = false;
  #started = false;
  #stopping = false;
  #loops: ProbeLoop[] = [];
  #backoff = new AbortController();
  #exited: Promise<void> = Promise.resolve();

  constructor(settings: ContainerSettings) {
    this.#settings = settings;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** It ended and will not be started again. */
  get finished(): boolean {
    return this.#state.terminated !== undefined && !this.#willRestart(this.#state.terminated.exitCode);
  }

  get exitCode(): number | null {
    return this.#state.terminated?.exitCode ?? null;
  }

  status(): ContainerStatus {
    const { name, image } = this.#settings.container;
    return {
      name,
      image: image ?? '',
      imageID: '',
      ready: this.#ready,
      started: this.#started,
      restartCount: this.#restarts,
      state: this.#state,
      ...(this.#lastState === undefined ? {} : { lastState: this.#lastState }),
    };
  }

  start(): void {
    if (this.#stopping) return;
    makeCgroup(this.#settings.entry.cgroup);
    const log = openSync(this.#settings.logFile, 'a', 0o600);
    const startedAt = new Date().toISOString();
    const began = Date.now();
    const child = enter(this.#settings.entry, this.#settings.command, { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    this.#child = child;
    this.#state = { running: { startedAt } };
    this.#exited = new Promise((resolve) => {
      const ended = (code: number, signal: number | null): void => {
        if (this.#child !== child) return;
        this.#child = null;
        resolve();
        this.#onExit(code, signal, startedAt, began);
      };
      child.on('error', () => ended(127, null));
      child.on('exit', (code, signal) =>
        ended(code ?? 128 + signalNumber(signal), signal === null ? null : signalNumber(signal)),
      );
    });
    const { postStart } = this.#settings.container.lifecycle ?? {};
    if (postStart !== undefined) void this.#hook(postStart, HOOK_TIMEOUT_MS);
    this.#startProbes();
    this.#settings.onChange();
  }

  /** preStop, SIGTERM, then SIGKILL for all that is left when `graceMs` is over. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#backoff.abort();
    await this.#end(graceMs);
    await removeCgroup(this.#settings.entry.cgroup);
  }

  #target(): ProbeTarget {
    return { address: this.#settings.address, container: this.#settings.container, entry: this.#settings.entry };
  }

  #startProbes(): void {
    const { startupProbe } = this.#settings.container;
    if (startupProbe === undefined) {
      this.#afterStartup();
      return;
    }
    const loop = new ProbeLoop(
      startupProbe,
      () => probeOnce(startupProbe, this.#target()),
      false,
      (ok, message) => {
        loop.stop();
        if (ok) this.#afterStartup();
        else void this.#kill(`startup probe failed: ${message}`);
      },
    );
    this.#loops.push(loop);
  }

  #afterStartup(): void {
    const { readinessProbe, livenessProbe } = this.#settings.container;
    this.#started = true;
    if (readinessProbe === undefined) this.#ready = true;
    else {
      const attempt = () => probeOnce(readinessProbe, this.#target());
      this.#loops.push(new ProbeLoop(readinessProbe, attempt, true, (ok) => this.#setReady(ok)));
    }
    if (livenessProbe !== undefined) {
      const attempt = () => probeOnce(livenessProbe, this.#target());
      this.#loops.push(
        new ProbeLoop(livenessProbe, attempt, false, (ok, message) => {
          if (!ok) void this.#kill(`liveness probe failed: ${message}`);
        }),
      );
    }
    this.#settings.onChange();
  }

  #setReady(ready: boolean): void {
    this.#ready = ready;
    this.#settings.onChange();
  }

  #kill(why: string): Promise<void> {
    this.#note(why);
    return this.#end(5_000);
  }

  #note(text: string): void {
    process.stderr.write(`${new Date().toISOString()} container ${this.#settings.container.name}: ${text}\n`);
  }

  async #end(graceMs: number): Promise<void> {
    this.#stopProbes();
    const deadline = Date.now() + graceMs;
    const preStop = this.#settings.container.lifecycle?.preStop;
    if (preStop !== undefined && this.#child !== null) {
      await Promise.race([this.#hook(preStop, graceMs), sleep(graceMs, undefined, { ref: false })]);
    }
    this.#child?.kill('SIGTERM');
    const timeout = new AbortController();
    const left = Math.max(0, deadline - Date.now());
    await Promise.race([this.#exited, sleep(left, undefined, { signal: timeout.signal }).catch(() => {})]);
    timeout.abort();
    // Only while it lives: a successor in the same cgroup must not be hit.
    if (this.#child !== null) killCgroup(this.#settings.entry.cgroup);
    await this.#exited;
  }

  /** Ends what the main process left behind, as the end of a pod's PID 1 does. */
  async #sweep(): Promise<void> {
    const { cgroup } = this.#settings.entry;
    killCgroup(cgroup);
    while (isPopulated(cgroup)) await sleep(POLL_MS);
  }

  async #hook(handler: LifecycleHandler, timeoutMs: number): Promise<void> {
    if (handler.sleep !== undefined) await sleep(handler.sleep.seconds * 1000, undefined, { ref: false });
    else if (handler.exec !== undefined) await execProbe(handler.exec.command ?? [], this.#target(), timeoutMs);
    else if (handler.httpGet !== undefined) await httpProbe(handler.httpGet, this.#target(), timeoutMs);
  }

  #stopProbes(): void {
    for (const loop of this.#loops) loop.stop();
    this.#loops = [];
  }

  #onExit(exitCode: number, signal: number | null, startedAt: string, began: number): void {
    this.#stopProbes();
    this.#ready = false;
    this.#started = false;
    this.#state = {
      terminated: {
        exitCode,
        ...(signal === null ? {} : { signal }),
        reason: exitCode === 0 ? 'Completed' : 'Error',
        startedAt,
        finishedAt: new Date().toISOString(),
      },
    };
    if (Date.now() - began > HEALTHY_RUN_MS) this.#crashes = 0;
    if (this.#willRestart(exitCode)) void this.#restart();
    this.#settings.onChange();
  }

  #willRestart(exitCode: number): boolean {
    if (this.#stopping || this.#settings.restartPolicy === 'Never') return false;
    return this.#settings.restartPolicy === 'Always' || exitCode !== 0;
  }

  async #restart(): Promise<void> {
    this.#lastState = this.#state;
    const delayMs = this.#crashes === 0 ? 0 : Math.min(FIRST_BACKOFF_MS * 2 ** this.#crashes, LONGEST_BACKOFF_MS);
    this.#crashes++;
    await this.#sweep();
    if (delayMs > 0) {
      const exitCode = this.#state.terminated?.exitCode;
      this.#state = {
        waiting: {
          reason: 'CrashLoopBackOff',
          message: `exit ${exitCode}; starts again in ${delayMs} ms; see its log`,
        },
      };
      this.#settings.onChange();
    }
    await sleep(delayMs, undefined, { signal: this.#backoff.signal }).catch(() => {});
    if (this.#stopping) return;
    this.#restarts++;
    this.start();
  }
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === 'SIGKILL'
    ? 9
    : signal === 'SIGTERM'
      ? 15
      : signal === 'SIGSEGV'
        ? 11
        : signal === 'SIGABRT'
          ? 6
          : 1;
}
