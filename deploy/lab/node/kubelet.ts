/** Keeps the node's pods as the store wants them. */
import { isTerminating, nameOf, namespaceOf, type Pod, type PodStatus } from '../cluster/objects.ts';
import type { Store } from '../cluster/store.ts';
import { messageOf } from '../errors.ts';
import type { FromNode } from './messages.ts';
import { PodRun, type PodSettings } from './pod.ts';

export interface KubeletSettings extends Omit<PodSettings, 'onStatus'> {
  store: Store;
  tell: (message: FromNode) => void;
  log: (text: string) => void;
}

export class Kubelet {
  readonly #settings: KubeletSettings;
  readonly #runs = new Map<string, PodRun>();
  readonly #ending = new Set<string>();

  constructor(settings: KubeletSettings) {
    this.#settings = settings;
  }

  /** Starts, updates and ends pods after the store has changed. */
  sync(): void {
    const { store, place } = this.#settings;
    const mine = store.list('Pod').filter((pod) => pod.spec.nodeName === place.node.name);
    const wanted = new Set<string>();
    for (const pod of mine) {
      const uid = pod.metadata.uid ?? '';
      wanted.add(uid);
      const run = this.#runs.get(uid);
      if (isTerminating(pod)) this.#end(uid, pod);
      else if (run === undefined) this.#start(uid, pod);
      else run.update(pod);
    }
    for (const uid of this.#runs.keys()) if (!wanted.has(uid)) this.#end(uid, null);
  }

  #start(uid: string, pod: Pod): void {
    this.#settings.log(`pod ${nameOf(pod)} comes`);
    this.#runs.set(
      uid,
      new PodRun(pod, {
        ...this.#settings,
        onStatus: (of, status, addresses) => this.#onStatus(of, status, addresses),
      }),
    );
  }

  #onStatus(pod: Pod, status: PodStatus, addresses: readonly string[]): void {
    const { name, uid = '' } = pod.metadata;
    if (status.reason !== undefined)
      this.#settings.log(`pod ${nameOf(pod)}: ${status.reason}: ${status.message ?? ''}`);
    this.#settings.tell({ type: 'status', namespace: namespaceOf(pod), name, uid, status, addresses });
  }

  #end(uid: string, pod: Pod | null): void {
    if (this.#ending.has(uid)) return;
    this.#ending.add(uid);
    void this.#terminate(uid)
      .catch((error: unknown) => this.#settings.log(`pod ${uid} does not end cleanly: ${messageOf(error)}`))
      .then(() => {
        this.#runs.delete(uid);
        this.#ending.delete(uid);
        if (pod === null) return;
        this.#settings.log(`pod ${nameOf(pod)} is gone`);
        this.#settings.tell({ type: 'gone', namespace: namespaceOf(pod), name: pod.metadata.name, uid });
      });
  }

  async #terminate(uid: string): Promise<void> {
    await this.#runs.get(uid)?.terminate();
  }
}
