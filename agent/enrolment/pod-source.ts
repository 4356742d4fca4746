import { type FSWatcher, readdirSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { type PodFile, PodFileSchema } from './pod-file.ts';

export interface PodSourceEvents {
  /** All pods of the node, by uid, after each change. */
  onPods(pods: ReadonlyMap<string, PodFile>): void;
  /** A file that cannot be read; the pod keeps its last good description. */
  onInvalid(file: string, reason: string): void;
}

/**
 * The directory in which the node's agent of pods (the lab, a CNI plugin) describes each pod by one file, put there by
 * rename and removed at the pod's end. Watched, and scanned now and then in case the kernel dropped a notification.
 */
export class PodSource {
  readonly #directory: string;
  readonly #scanIntervalMs: number;
  readonly #events: PodSourceEvents;
  readonly #texts = new Map<string, string>();
  readonly #pods = new Map<string, PodFile>();
  #watcher: FSWatcher | null = null;
  #timer: NodeJS.Timeout | null = null;
  #scheduled: NodeJS.Immediate | null = null;

  constructor(directory: string, scanIntervalMs: number, events: PodSourceEvents) {
    this.#directory = directory;
    this.#scanIntervalMs = scanIntervalMs;
    this.#events = events;
  }

  /** Reads at once, so that `onPods` has been called when it returns. */
  start(): void {
    this.#watch();
    this.#scan(true);
    this.#timer = setInterval(() => this.#scan(false), this.#scanIntervalMs);
    this.#timer.unref();
  }

  close(): void {
    this.#watcher?.close();
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#scheduled !== null) clearImmediate(this.#scheduled);
  }

  #watch(): void {
    try {
      this.#watcher = watch(this.#directory, { persistent: false }, () => {
        // Many files change at once when a node starts.
        this.#scheduled ??= setImmediate(() => {
          this.#scheduled = null;
          this.#scan(false);
        });
      });
      this.#watcher.on('error', () => this.#unwatch());
    } catch {
      // Not there yet: the scan tries again.
      this.#watcher = null;
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }

  #scan(first: boolean): void {
    if (this.#watcher === null) this.#watch();
    let names: string[];
    try {
      names = readdirSync(this.#directory).filter((name) => name.endsWith('.json'));
    } catch (error) {
      if (first) this.#events.onInvalid(this.#directory, (error as Error).message);
      if (first) this.#events.onPods(this.#pods);
      return;
    }
    let changed = first;
    for (const name of names) if (this.#read(name)) changed = true;
    const present = new Set(names);
    for (const name of this.#texts.keys()) {
      if (present.has(name)) continue;
      this.#texts.delete(name);
      this.#pods.delete(name);
      changed = true;
    }
    if (changed) this.#events.onPods(new Map([...this.#pods.values()].map((pod) => [pod.uid, pod])));
  }

  #read(name: string): boolean {
    let text: string;
    try {
      text = readFileSync(join(this.#directory, name), 'utf8');
    } catch {
      // Removed between the two calls; the next scan says so.
      return false;
    }
    if (this.#texts.get(name) === text) return false;
    this.#texts.set(name, text);
    try {
      this.#pods.set(name, Object.freeze(PodFileSchema.parse(JSON.parse(text))));
      return true;
    } catch (error) {
      this.#events.onInvalid(name, (error as Error).message);
      return false;
    }
  }
}
