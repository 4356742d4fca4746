import type { Workload } from '../model/workload.ts';
import type { LayeredMap } from './layered-map.ts';

/** By service key, the workloads that change as its endpoints, by uid; null: no longer one. */
export type EndpointChanges = Map<string, Map<string, Workload | null>>;

/** More changes than this in one list and it is merged as a whole. */
const MAX_SPLICES = 16;

/** Notes that a workload took the place of another as an endpoint of its services. */
export function noteEndpoint(changes: EndpointChanges, before: Workload | null, after: Workload | null): void {
  const note = (key: string, uid: string, workload: Workload | null) =>
    changes.getOrInsertComputed(key, () => new Map()).set(uid, workload);
  for (const key of before?.services.keys() ?? []) if (before !== null) note(key, before.uid, null);
  for (const key of after?.services.keys() ?? []) if (after !== null) note(key, after.uid, after);
}

/** The next lists, in the order of uids; only those with changes are copied. */
export function changedLists(
  lists: LayeredMap<string, readonly Workload[]>,
  changes: EndpointChanges,
): Map<string, readonly Workload[] | null> {
  const next = new Map<string, readonly Workload[] | null>();
  for (const [key, byUid] of changes) {
    const list = changed(lists.get(key) ?? [], byUid);
    next.set(key, list.length === 0 ? null : list);
  }
  return next;
}

function changed(list: readonly Workload[], byUid: ReadonlyMap<string, Workload | null>): readonly Workload[] {
  if (byUid.size > MAX_SPLICES) {
    const kept = list.filter((workload) => !byUid.has(workload.uid));
    const added = [...byUid.values()].filter((workload) => workload !== null);
    return [...kept, ...added].sort((a, b) => (a.uid < b.uid ? -1 : 1));
  }
  const copy = [...list];
  for (const [uid, workload] of byUid) {
    const place = placeOf(copy, uid);
    const there = Number(copy[place]?.uid === uid);
    copy.splice(place, there, ...(workload === null ? [] : [workload]));
  }
  return copy;
}

/** Index of the uid, or where it belongs. */
function placeOf(list: readonly Workload[], uid: string): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((list[middle]?.uid ?? '') < uid) low = middle + 1;
    else high = middle;
  }
  return low;
}
