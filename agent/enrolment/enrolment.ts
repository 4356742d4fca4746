import type { PodListeners } from '../accept/listeners.ts';
import type { Limits } from '../config/limits.ts';
import type { LocalPod } from '../model/connection.ts';
import type { ListenerKind } from '../model/datapath.ts';
import { localWorkload } from '../model/local-workload.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../model/snapshot.ts';
import type { Tally } from '../observe/tally.ts';
import type { PodFile } from './pod-file.ts';
import { Waiters } from './waiters.ts';

/** The part of `redirect/` that enrolment drives. `enrol` is idempotent and finds pinned state again. */
export interface Redirecting {
  enrol(pod: PodFile): { slot: number; netns: number };
  unenrol(uid: string): void;
  setListeners(slot: number, descriptors: Record<ListenerKind, number>): void;
  setProbePorts(slot: number, ports: readonly number[]): void;
}

export interface EnrolmentEvents {
  onEnrolled(pod: LocalPod, file: PodFile): void;
  /**
   * Before anything is taken down. `ended`: the pod is gone. Otherwise it lives on outside the mesh, and what runs
   * through the agent runs on until it ends.
   */
  onUnenrolling(pod: LocalPod, ended: boolean): void;
  onFailed(file: PodFile, reason: string, retryInMs: number): void;
  onWarning(file: PodFile, warning: string): void;
}

export interface EnrolmentParts {
  redirect: Redirecting;
  openListeners: (pod: LocalPod) => PodListeners;
  events: EnrolmentEvents;
  limits: Pick<Limits, 'enrolRetryMinMs' | 'enrolRetryMaxMs' | 'podWaiters' | 'drainAcceptGraceMs'>;
  limitHits: Tally;
  capabilities: 'Warn' | 'Refuse';
  monotonicMs: () => number;
}

export type PodState = 'enrolled' | 'not_enrolled' | 'pending' | 'failed';

interface Entry {
  file: PodFile;
  state: PodState;
  reason: string;
  /** In the kernel; traffic is captured from then on, listeners or not. */
  pod: LocalPod | null;
  listeners: PodListeners | null;
  probePorts: string;
  failures: number;
  retry: NodeJS.Timeout | null;
  /** In the queue of those to be enrolled on a later turn of the loop. */
  queued: boolean;
}

/** Capabilities with which a pod can send past any capture in its own namespace. */
const BYPASSING = ['CAP_NET_RAW', 'CAP_NET_ADMIN', 'CAP_SYS_ADMIN', 'CAP_BPF'];

/** Keeps the kernel's state of each local pod in step with the pod source and the snapshot. */
export class Enrolment {
  readonly durations = { count: 0, sumSeconds: 0, lastSeconds: 0 };
  /** Enrolled pods by address. */
  readonly byAddress = new Map<string, LocalPod>();
  readonly #parts: EnrolmentParts;
  readonly #entries = new Map<string, Entry>();
  readonly #waiters: Waiters;
  readonly #queue: Entry[] = [];
  #turn: NodeJS.Immediate | null = null;
  #whenIdle: (() => void)[] = [];
  #snapshot: Snapshot = EMPTY_SNAPSHOT;
  #closed = false;

  constructor(parts: EnrolmentParts) {
    this.#parts = parts;
    this.#waiters = new Waiters(parts.limits.podWaiters);
  }

  onPods(files: ReadonlyMap<string, PodFile>): void {
    for (const [uid, entry] of this.#entries) if (!files.has(uid)) this.#forget(uid, entry);
    for (const [uid, file] of files) {
      const entry = this.#entries.get(uid);
      if (entry === undefined) this.#entries.set(uid, newEntry(file));
      else entry.file = file;
    }
    this.#reconcileAll();
  }

  onSnapshot(snapshot: Snapshot): void {
    this.#snapshot = snapshot;
    this.#reconcileAll();
  }

  /** Pods that were enrolled by the predecessor or before a restart are captured already: their listeners come first. */
  restore(uids: readonly string[]): void {
    for (const uid of uids) {
      const entry = this.#entries.get(uid);
      if (entry !== undefined) this.#enrol(entry);
    }
  }

  /** Resolves when no enrolment waits for its turn. */
  idle(): Promise<void> {
    if (this.#turn === null) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  pods(): Iterable<Readonly<Entry>> {
    return this.#entries.values();
  }

  /** Settled when it resolves with an entry, unless `waitMs` ran out. */
  async wait(uid: string, waitMs: number): Promise<Readonly<Entry> | null> {
    const deadline = this.#parts.monotonicMs() + waitMs;
    for (;;) {
      const entry = this.#entries.get(uid);
      const left = deadline - this.#parts.monotonicMs();
      if ((entry !== undefined && entry.state !== 'pending') || left <= 0) return entry ?? null;
      if (await this.#waiters.wait(uid, left)) continue;
      this.#parts.limitHits.add('podWaiters');
      return entry ?? null;
    }
  }

  /** Stops accepting. The kernel's state stays: pods are captured, and refused until an agent is back. */
  closeListeners(): void {
    this.#closed = true;
    for (const entry of this.#entries.values()) {
      entry.listeners?.close();
      entry.listeners = null;
      if (entry.retry !== null) clearTimeout(entry.retry);
      entry.retry = null;
    }
  }

  /** A predecessor leaves the pods to its successor; it neither enrols nor un-enrols any more. */
  freeze(): void {
    this.#closed = true;
  }

  #reconcileAll(): void {
    if (this.#closed) return;
    for (const entry of this.#entries.values()) this.#reconcile(entry);
  }

  #reconcile(entry: Entry): void {
    const workload = localWorkload(entry.file, this.#snapshot);
    if (entry.file.hostNetwork) this.#settle(entry, 'not_enrolled', 'hostNetwork pods are never enrolled');
    else if (workload?.enrolled) {
      this.#enrol(entry);
      this.#probePorts(entry);
    } else if (workload !== null) {
      this.#unenrol(entry, false);
      this.#settle(entry, 'not_enrolled', '');
    } else if (entry.pod === null && entry.state !== 'failed') {
      this.#settle(entry, 'pending', this.#snapshot.version === 0 ? 'no snapshot yet' : 'no workload for the pod yet');
    }
  }

  /** One for each turn of the loop: an enrolment takes milliseconds, and connections must not wait for a hundred. */
  #enrol(entry: Entry): void {
    if (entry.listeners !== null || entry.retry !== null || entry.queued) return;
    if (this.#turn !== null) {
      entry.queued = true;
      this.#queue.push(entry);
      return;
    }
    this.#turn = setImmediate(() => this.#nextTurn());
    this.#tryEnrol(entry);
  }

  #nextTurn(): void {
    this.#turn = null;
    let entry = this.#queue.shift();
    // Some no longer want it, or have gone.
    while (entry !== undefined && !entry.queued) entry = this.#queue.shift();
    if (entry === undefined) {
      for (const resolve of this.#whenIdle.splice(0)) resolve();
      return;
    }
    entry.queued = false;
    this.#enrol(entry);
  }

  #tryEnrol(entry: Entry): void {
    if (this.#closed) return;
    const risky = entry.file.capabilities.filter((name) => BYPASSING.includes(name));
    const warning = risky.length === 0 ? '' : `can send past the capture: has ${risky.join(', ')}`;
    const refused = warning !== '' && this.#parts.capabilities === 'Refuse';
    try {
      // Captured with nobody to listen: whatever it sends is refused.
      if (refused) this.#capture(entry);
      else this.#enrolNow(entry);
    } catch (error) {
      this.#failed(entry, error);
      return;
    }
    entry.failures = 0;
    if (refused) {
      this.#settle(entry, 'failed', `refused by enrolment.capabilities: ${warning}`);
      return;
    }
    this.#probePorts(entry);
    if (warning !== '') this.#parts.events.onWarning(entry.file, warning);
    this.#settle(entry, 'enrolled', warning);
  }

  #enrolNow(entry: Entry): void {
    const { redirect, openListeners, events, monotonicMs } = this.#parts;
    const startedMs = monotonicMs();
    const { file } = entry;
    const pod = this.#capture(entry);
    const listeners = openListeners(pod);
    try {
      redirect.setListeners(pod.slot, listeners.descriptors());
    } catch (error) {
      listeners.close();
      throw error;
    }
    entry.listeners = listeners;
    for (const address of file.addresses) this.byAddress.set(address, pod);
    events.onEnrolled(pod, file);
    const seconds = (monotonicMs() - startedMs) / 1000;
    this.durations.count++;
    this.durations.sumSeconds += seconds;
    this.durations.lastSeconds = seconds;
  }

  /** From here on the pod's traffic goes through listeners or nowhere. */
  #capture(entry: Entry): LocalPod {
    if (entry.pod !== null) return entry.pod;
    const { uid, namespace, name, serviceAccount, addresses } = entry.file;
    const { slot, netns } = this.#parts.redirect.enrol(entry.file);
    entry.pod = { uid, namespace, name, serviceAccount, addresses, netns, slot };
    return entry.pod;
  }

  #failed(entry: Entry, error: unknown): void {
    const { limits, events } = this.#parts;
    const delayMs = Math.min(limits.enrolRetryMinMs * 2 ** entry.failures, limits.enrolRetryMaxMs);
    entry.failures++;
    const reason = error instanceof Error ? error.message : String(error);
    events.onFailed(entry.file, reason, delayMs);
    entry.retry = setTimeout(() => {
      entry.retry = null;
      this.#reconcile(entry);
    }, delayMs);
    this.#settle(entry, 'failed', reason);
  }

  #unenrol(entry: Entry, ended: boolean): void {
    entry.queued = false;
    if (entry.retry !== null) clearTimeout(entry.retry);
    entry.retry = null;
    const { pod } = entry;
    if (pod === null) {
      // An enrolment that failed half-way has left the pod refused.
      if (entry.failures > 0) this.#parts.redirect.unenrol(entry.file.uid);
      entry.failures = 0;
      return;
    }
    this.#parts.events.onUnenrolling(pod, ended);
    for (const address of pod.addresses) if (this.byAddress.get(address) === pod) this.byAddress.delete(address);
    this.#parts.redirect.unenrol(pod.uid);
    this.#dismiss(entry.listeners, ended);
    entry.listeners = null;
    entry.pod = null;
    entry.probePorts = '';
  }

  /** What was captured before the pod left may still wait to be accepted: closing at once would reset it. */
  #dismiss(listeners: PodListeners | null, ended: boolean): void {
    if (ended) listeners?.close();
    else setTimeout(() => listeners?.close(), this.#parts.limits.drainAcceptGraceMs).unref();
  }

  #forget(uid: string, entry: Entry): void {
    if (this.#closed) return;
    this.#entries.delete(uid);
    try {
      this.#unenrol(entry, true);
    } catch (error) {
      this.#parts.events.onFailed(entry.file, `cannot be un-enrolled: ${(error as Error).message}`, 0);
    }
    this.#waiters.wake(uid);
  }

  #probePorts(entry: Entry): void {
    const ports = localWorkload(entry.file, this.#snapshot)?.probePorts;
    if (ports === undefined || entry.pod === null || entry.probePorts === ports.join()) return;
    this.#parts.redirect.setProbePorts(entry.pod.slot, ports);
    entry.probePorts = ports.join();
  }

  #settle(entry: Entry, state: PodState, reason: string): void {
    entry.state = state;
    entry.reason = reason;
    if (state !== 'pending') this.#waiters.wake(entry.file.uid);
  }
}

function newEntry(file: PodFile): Entry {
  return {
    file,
    state: 'pending',
    reason: '',
    pod: null,
    listeners: null,
    probePorts: '',
    failures: 0,
    retry: null,
    queued: false,
  };
}
