/** The objects of the cluster, held in memory: the supervisor's own, and its replica in each node process. */
import type { LabObject } from './objects.ts';

export type Change = { op: 'set'; object: LabObject } | { op: 'delete'; kind: string; namespace: string; name: string };

/** Kinds without a namespace. */
const CLUSTER_SCOPED = new Set(['Namespace', 'Node']);

export function storeNamespace(object: { kind: string; metadata: { namespace?: string } }): string {
  return CLUSTER_SCOPED.has(object.kind) ? '' : (object.metadata.namespace ?? 'default');
}

/** Objects are replaced, never edited. Listeners run at once, in the order in which they subscribed. */
export class Store {
  readonly #byKind = new Map<string, Map<string, LabObject>>();
  readonly #listeners: ((change: Change) => void)[] = [];

  onChange(listener: (change: Change) => void): void {
    this.#listeners.push(listener);
  }

  /** All objects of a kind. */
  list<K extends LabObject['kind']>(kind: K): Extract<LabObject, { kind: K }>[] {
    return [...(this.#byKind.get(kind)?.values() ?? [])] as Extract<LabObject, { kind: K }>[];
  }

  get<K extends LabObject['kind']>(
    kind: K,
    namespace: string,
    name: string,
  ): Extract<LabObject, { kind: K }> | undefined {
    return this.#byKind.get(kind)?.get(`${namespace}/${name}`) as Extract<LabObject, { kind: K }> | undefined;
  }

  all(): LabObject[] {
    return [...this.#byKind.values()].flatMap((objects) => [...objects.values()]);
  }

  /** False when the object is there already, equal in all fields. */
  set(object: LabObject): boolean {
    const objects = this.#byKind.getOrInsertComputed(object.kind, () => new Map<string, LabObject>());
    const key = `${storeNamespace(object)}/${object.metadata.name}`;
    const before = objects.get(key);
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(object)) return false;
    objects.set(key, object);
    this.#tell({ op: 'set', object });
    return true;
  }

  delete(kind: string, namespace: string, name: string): boolean {
    if (this.#byKind.get(kind)?.delete(`${namespace}/${name}`) !== true) return false;
    this.#tell({ op: 'delete', kind, namespace, name });
    return true;
  }

  apply(change: Change): void {
    if (change.op === 'set') this.set(change.object);
    else this.delete(change.kind, change.namespace, change.name);
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change);
  }
}
