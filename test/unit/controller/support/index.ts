import type { ApiObject } from '../../../../controller/api/kinds.ts';
import { Index } from '../../../../controller/index/index.ts';
import type { IndexOptions } from '../../../../controller/index/options.ts';

export const INDEX_OPTIONS: IndexOptions = {
  clusterId: 'Kubernetes',
  network: '',
  trustDomain: 'cluster.local',
  clusterDomain: 'cluster.local',
  rootNamespace: 'aquifer-system',
  honourIstioLabel: true,
};

/** An index that has taken these objects and committed. */
export function indexOf(...all: ApiObject[]): Index {
  const index = new Index(INDEX_OPTIONS);
  for (const object of all) index.apply(object);
  index.commit();
  return index;
}

/** A workload by pod name, in `shop`. */
export function workload(index: Index, name: string) {
  const found = index.snapshotFor('node-1').workloads.get(`Kubernetes//Pod/shop/${name}`)?.value;
  if (found === undefined) throw new Error(`no workload ${name}`);
  return found;
}

/** A Service by name, in `shop`. */
export function derivedService(index: Index, name: string) {
  const found = index.snapshotFor('node-1').services.get(`shop/${name}.shop.svc.cluster.local`)?.value;
  if (found === undefined) throw new Error(`no service ${name}`);
  return found;
}
