/** Writes what the lab decides (Pods, endpoints, Service addresses, Nodes) to the controller's `cluster` layer. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabObject } from '../cluster/objects.ts';
import { storeNamespace } from '../cluster/store.ts';
import { messageOf } from '../errors.ts';
import { callJson } from '../http.ts';

const GATHER_MS = 5;
const RETRY_MS = 300;

interface ApplyReply {
  results?: {
    kind: string;
    namespace?: string;
    name: string;
    result: string;
    errors?: { field?: string; reason?: string }[];
  }[];
  error?: string;
}

/** The newest wish for each object; while the controller is away they gather, one for each object. */
export class Publisher {
  readonly #socket: string;
  readonly #log: (text: string) => void;
  #wishes = new Map<string, { object: LabObject; remove: boolean }>();
  #running = false;
  #complained = '';

  constructor(socket: string, log: (text: string) => void) {
    this.#socket = socket;
    this.#log = log;
  }

  set(object: LabObject): void {
    this.#wish(object, false);
  }

  remove(object: LabObject): void {
    this.#wish(object, true);
  }

  /** Nothing waits to be written. */
  get idle(): boolean {
    return !this.#running && this.#wishes.size === 0;
  }

  #wish(object: LabObject, remove: boolean): void {
    this.#wishes.set(`${object.kind}/${storeNamespace(object)}/${object.metadata.name}`, { object, remove });
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#wishes.size > 0) {
      await sleep(GATHER_MS);
      const wishes = this.#wishes;
      this.#wishes = new Map();
      if (await this.#write([...wishes.values()])) continue;
      for (const [key, wish] of wishes) if (!this.#wishes.has(key)) this.#wishes.set(key, wish);
      await sleep(RETRY_MS);
    }
    this.#running = false;
  }

  /** False: nobody answered, to be tried again. */
  async #write(wishes: readonly { object: LabObject; remove: boolean }[]): Promise<boolean> {
    try {
      const removed = wishes.filter((wish) => wish.remove).map((wish) => wish.object);
      const set = wishes.filter((wish) => !wish.remove).map((wish) => wish.object);
      if (removed.length > 0) await this.#post('/v1/delete?layer=cluster', removed.map(bareOf));
      if (set.length > 0) await this.#post('/v1/apply?layer=cluster', set);
      this.#complained = '';
      return true;
    } catch (error) {
      const text = messageOf(error);
      if (text !== this.#complained) this.#log(`cannot tell the controller, trying on: ${text}`);
      this.#complained = text;
      return false;
    }
  }

  async #post(path: string, objects: readonly LabObject[] | readonly object[]): Promise<void> {
    const body = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
    const { status, body: reply } = await callJson<ApplyReply>(this.#socket, path, { body });
    if (status < 300) return;
    const faults = (reply.results ?? []).flatMap((result) =>
      (result.errors ?? []).map(
        (error) =>
          `${result.kind} ${result.namespace ?? ''}/${result.name}: ${error.field ?? ''} ${error.reason ?? ''}`,
      ),
    );
    this.#log(`the controller refuses what the lab wrote (${status}): ${faults.join('; ') || (reply.error ?? '')}`);
    // One bad object holds back a whole request: send the others alone.
    if (objects.length > 1) for (const object of objects) await this.#post(path, [object]);
  }
}

function bareOf({ apiVersion, kind, metadata }: LabObject): object {
  const { name, namespace } = metadata;
  return { apiVersion, kind, metadata: namespace === undefined ? { name } : { name, namespace } };
}
