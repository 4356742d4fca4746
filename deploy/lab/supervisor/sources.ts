/** Follows what the user wrote: the controller's objects below the layer that the lab itself writes. */
import { type LabObject, WATCHED_KINDS } from '../cluster/objects.ts';
import { Store, storeNamespace } from '../cluster/store.ts';
import { messageOf } from '../errors.ts';
import { followNdjson } from '../http.ts';

const RETRY_MS = 200;

type WatchRecord = { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: LabObject } | { type: 'SYNCED' };

/** While the controller is away the last objects stay. After a reconnect, what is not told again is gone. */
export class Sources {
  readonly store = new Store();
  readonly #socket: string;
  readonly #onChange: () => void;
  readonly #log: (text: string) => void;
  #synced = false;
  #complained = false;

  constructor(socket: string, onChange: () => void, log: (text: string) => void) {
    this.#socket = socket;
    this.#onChange = onChange;
    this.#log = log;
  }

  /** The first list is complete. */
  get synced(): boolean {
    return this.#synced;
  }

  follow(): void {
    const seen = new Set<string>();
    let listing = true;
    const onRecord = (record: WatchRecord): void => {
      if (record.type === 'SYNCED') {
        listing = false;
        this.#forget(seen);
        this.#synced = true;
        this.#complained = false;
      } else if (record.type === 'DELETED') {
        this.store.delete(record.object.kind, storeNamespace(record.object), record.object.metadata.name);
      } else {
        if (listing) seen.add(keyOf(record.object));
        this.store.set(record.object);
      }
      if (!listing) this.#onChange();
    };
    const path = `/v1/watch?kinds=${WATCHED_KINDS.join(',')}&view=desired`;
    followNdjson(
      this.#socket,
      path,
      (record) => onRecord(record as WatchRecord),
      (error) => this.#again(error),
    );
  }

  #again(error: Error | null): void {
    if (this.#synced && !this.#complained)
      this.#log(`the controller's watch ended: ${error === null ? 'closed' : messageOf(error)}`);
    this.#complained = true;
    setTimeout(() => this.follow(), RETRY_MS);
  }

  #forget(seen: ReadonlySet<string>): void {
    for (const object of this.store.all()) {
      if (!seen.has(keyOf(object))) this.store.delete(object.kind, storeNamespace(object), object.metadata.name);
    }
  }
}

function keyOf(object: LabObject): string {
  return `${object.kind}/${storeNamespace(object)}/${object.metadata.name}`;
}
