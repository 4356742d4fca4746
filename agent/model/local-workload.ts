import type { Snapshot } from './snapshot.ts';
import type { Workload } from './workload.ts';

interface PodName {
  uid: string;
  namespace: string;
  name: string;
  addresses: readonly string[];
}

/**
 * The workload that a local pod is, or null. An address may belong to another pod by now, so the pod's uid must agree;
 * a controller that sends none (istiod) is believed on namespace and name.
 */
export function localWorkload(pod: PodName, snapshot: Snapshot): Workload | null {
  for (const address of pod.addresses) {
    const workload = snapshot.workloadByAddress.get(address);
    if (workload === undefined) continue;
    if (workload.podUid === pod.uid) return workload;
    if (workload.podUid === '' && workload.namespace === pod.namespace && workload.name === pod.name) return workload;
  }
  return null;
}
