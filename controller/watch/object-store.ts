import { isDeepStrictEqual } from 'node:util';
import { sameObject } from '../api/decode.ts';
import type { ApiObject } from '../api/kinds.ts';
import { refOf } from '../api/kinds.ts';
import type { ObjectRef } from '../core/model.ts';
import { objectKey } from '../core/model.ts';
import type { LayerFiles } from './layer-files.ts';

/** A change of an object as the readers of a view see it. */
export interface ObjectChange {
  ref: ObjectRef;
  /** null: it is gone. */
  object: ApiObject | null;
  /** null: it is new. */
  previous: ApiObject | null;
}

/** `desired`: what users asked for (directories and applied). `effective`: with what the cluster reports on top. */
export type View = 'desired' | 'effective';

export type WriteResult = 'created' | 'configured' | 'unchanged' | 'deleted' | 'not found';

/** Marks an object of a lower layer as deleted; `at` becomes its deletionTimestamp while the cluster still runs it. */
interface Tombstone {
  tombstone: ObjectRef;
  at: string;
}

type Stored = { object: ApiObject } | Tombstone;

interface Layer {
  name: string;
  /** What the cluster reports: not part of the desired view. */
  reported: boolean;
  objects: Map<string, Stored>;
  files: LayerFiles | null;
}

export interface LayerOptions {
  name: string;
  reported?: boolean;
  /** Where the layer is kept over restarts; null: its source keeps it. */
  files: LayerFiles | null;
}

/** Objects in layers, later ones winning by (group, kind, namespace, name). All writes are synchronous. */
export class ObjectStore {
  readonly #layers: Layer[];
  readonly #views: Record<View, Map<string, ApiObject>> = { desired: new Map(), effective: new Map() };
  readonly #listeners: Record<View, Set<(changes: readonly ObjectChange[]) => void>> = {
    desired: new Set(),
    effective: new Set(),
  };
  readonly #now: () => Date;

  constructor(layers: readonly LayerOptions[], now: () => Date = () => new Date()) {
    this.#now = now;
    this.#layers = layers.map(({ name, reported = false, files }) => ({ name, reported, files, objects: new Map() }));
    for (const layer of this.#layers) {
      for (const stored of layer.files?.load() ?? []) layer.objects.set(objectKey(refOfStored(stored)), stored);
    }
    // Tombstones wait for the directories, which have not been read yet.
    this.#refreshViews(new Set(this.#layers.flatMap(({ objects }) => [...objects.keys()])));
  }

  /** Batches of changes, in order, told after the store has them. */
  onChange(view: View, listener: (changes: readonly ObjectChange[]) => void): () => void {
    this.#listeners[view].add(listener);
    return () => this.#listeners[view].delete(listener);
  }

  get(ref: ObjectRef, view: View = 'effective'): ApiObject | null {
    return this.#views[view].get(objectKey(ref)) ?? null;
  }

  /** All objects of a view, in no particular order. */
  list(view: View = 'effective'): Iterable<ApiObject> {
    return this.#views[view].values();
  }

  /** Makes a layer hold exactly these objects. */
  replaceLayer(name: string, objects: ReadonlyMap<string, ApiObject>): void {
    const layer = this.#layer(name);
    const touched = new Set<string>();
    for (const key of layer.objects.keys()) {
      if (objects.has(key)) continue;
      layer.objects.delete(key);
      touched.add(key);
    }
    for (const [key, object] of objects) {
      const before = layer.objects.get(key);
      if (before !== undefined && 'object' in before && isDeepStrictEqual(before.object, object)) continue;
      layer.objects.set(key, { object });
      touched.add(key);
    }
    this.#settle(touched);
  }

  /** What `apply` would do, without doing it. */
  preview(name: string, objects: readonly ApiObject[]): { result: WriteResult; change: ObjectChange }[] {
    const layer = this.#layer(name);
    return objects.map((object) => {
      const ref = refOf(object);
      const previous = this.get(ref);
      const stored = layer.objects.get(objectKey(ref));
      // What the cluster reports is kept even where it says the same as the manifests.
      const visible = stored === undefined && !layer.reported ? this.get(ref, 'desired') : null;
      const compared = stored !== undefined && 'object' in stored ? stored.object : visible;
      const result = previous === null ? 'created' : 'configured';
      const same = compared !== null && sameObject(compared, object, layer.reported);
      return { result: same ? 'unchanged' : result, change: { ref, object, previous } };
    });
  }

  /** Writes valid objects into a layer. */
  apply(name: string, objects: readonly ApiObject[]): WriteResult[] {
    const layer = this.#layer(name);
    const results = this.preview(name, objects);
    const touched = new Set<string>();
    try {
      for (const { result, change } of results) {
        if (result === 'unchanged' || change.object === null) continue;
        const key = objectKey(change.ref);
        this.#write(layer, key, { object: change.object });
        touched.add(key);
      }
    } finally {
      // A full disk in between: what was written is live, and the caller hears of the fault.
      this.#settle(touched);
    }
    return results.map(({ result }) => result);
  }

  /** Removes objects from a layer; one that stands in another layer, too, gets a tombstone here. */
  delete(name: string, refs: readonly ObjectRef[]): WriteResult[] {
    const layer = this.#layer(name);
    const touched = new Set<string>();
    const results = refs.map((ref): WriteResult => {
      const key = objectKey(ref);
      const own = layer.objects.get(key);
      const elsewhere = this.#layers.some((other) => other !== layer && hasObject(other, key));
      if (own !== undefined && 'tombstone' in own) return 'not found';
      if (own === undefined && (!elsewhere || layer.reported)) return 'not found';
      if (elsewhere && !layer.reported) this.#write(layer, key, { tombstone: ref, at: this.#now().toISOString() });
      else this.#erase(layer, key);
      touched.add(key);
      return 'deleted';
    });
    this.#settle(touched);
    return results;
  }

  #layer(name: string): Layer {
    const layer = this.#layers.find((candidate) => candidate.name === name);
    if (layer === undefined) throw new RangeError(`no layer ${name}`);
    return layer;
  }

  #write(layer: Layer, key: string, stored: Stored): void {
    layer.files?.write(refOfStored(stored), stored);
    layer.objects.set(key, stored);
  }

  #erase(layer: Layer, key: string): void {
    const stored = layer.objects.get(key);
    if (stored === undefined) return;
    layer.objects.delete(key);
    layer.files?.erase(refOfStored(stored));
  }

  /** Computes the views anew for these keys and tells the listeners. */
  #settle(keys: ReadonlySet<string>): void {
    for (const key of keys) this.#dropIdleTombstone(key);
    this.#refreshViews(keys);
  }

  #refreshViews(keys: ReadonlySet<string>): void {
    for (const view of ['desired', 'effective'] as const) {
      const changes: ObjectChange[] = [];
      for (const key of keys) {
        const previous = this.#views[view].get(key) ?? null;
        const object = withGeneration(this.#resolve(key, view), previous);
        if (object === null && previous === null) continue;
        if (object !== null && previous !== null && isDeepStrictEqual(object, previous)) continue;
        if (object === null) this.#views[view].delete(key);
        else this.#views[view].set(key, object);
        const known = object ?? previous;
        if (known !== null) changes.push({ ref: refOf(known), object, previous });
      }
      if (changes.length > 0) for (const listener of this.#listeners[view]) listener(changes);
    }
  }

  #resolve(key: string, view: View): ApiObject | null {
    let result: ApiObject | null = null;
    let deletedAt: string | null = null;
    for (const layer of this.#layers) {
      if (layer.reported && view === 'desired') continue;
      const stored = layer.objects.get(key);
      if (stored === undefined) continue;
      if ('tombstone' in stored) {
        result = null;
        deletedAt = stored.at;
      } else {
        result = stored.object;
        if (!layer.reported) deletedAt = null;
      }
    }
    // Deleted by the user, but the cluster has not taken it down yet: terminating, as in Kubernetes.
    if (result === null || deletedAt === null) return result;
    return { ...result, metadata: { deletionTimestamp: deletedAt, ...result.metadata } };
  }

  /** A tombstone over nothing would hide an object that is added later. */
  #dropIdleTombstone(key: string): void {
    if (this.#layers.some((layer) => hasObject(layer, key))) return;
    for (const layer of this.#layers) this.#erase(layer, key);
  }
}

function hasObject(layer: Layer, key: string): boolean {
  const stored = layer.objects.get(key);
  return stored !== undefined && 'object' in stored;
}

function refOfStored(stored: Stored): ObjectRef {
  return 'object' in stored ? refOf(stored.object) : stored.tombstone;
}

/** Counts changes of the spec, which conditions refer to as observedGeneration. */
function withGeneration(object: ApiObject | null, previous: ApiObject | null): ApiObject | null {
  if (object === null) return null;
  const before = previous?.metadata.generation ?? 0;
  const changed = previous === null || !isDeepStrictEqual(previous.spec, object.spec);
  return { ...object, metadata: { ...object.metadata, generation: changed ? before + 1 : before } };
}
