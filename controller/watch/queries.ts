import type { ApiObject } from '../api/kinds.ts';
import type { ObjectStore, View } from './object-store.ts';

export interface Query {
  kinds: ReadonlySet<string> | null;
  namespace: string | null;
  name: string | null;
  view: View;
}

export interface Event {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'SYNCED';
  object?: ApiObject;
}

/** Objects that a query asks for, sorted by kind, namespace and name. */
export function listObjects(store: ObjectStore, query: Query): ApiObject[] {
  return [...store.list(query.view)].filter((object) => matches(query, object)).sort(byName);
}

/** Sends what is there as ADDED, then SYNCED, then every change, until the returned function is called. */
export function watchObjects(store: ObjectStore, query: Query, send: (event: Event) => void): () => void {
  for (const object of listObjects(store, query)) send({ type: 'ADDED', object });
  send({ type: 'SYNCED' });
  return store.onChange(query.view, (changes) => {
    for (const { object, previous } of changes) {
      if (object !== null && matches(query, object)) send({ type: previous === null ? 'ADDED' : 'MODIFIED', object });
      if (object === null && previous !== null && matches(query, previous)) send({ type: 'DELETED', object: previous });
    }
  });
}

function matches({ kinds, namespace, name }: Query, { kind, metadata }: ApiObject): boolean {
  if (kinds !== null && !kinds.has(kind)) return false;
  if (namespace !== null && namespace !== '' && (metadata.namespace ?? '') !== namespace) return false;
  return name === null || name === '' || metadata.name === name;
}

function byName(a: ApiObject, b: ApiObject): number {
  return sortKey(a) < sortKey(b) ? -1 : 1;
}

function sortKey({ kind, metadata }: ApiObject): string {
  return `${kind} ${metadata.namespace ?? ''} ${metadata.name}`;
}
