/** Which node a pod runs on. */
import { isFinished, type Node, namespaceOf, OUTSIDE_ANNOTATION, type Pod } from './objects.ts';
import { matchesLabels } from './selector.ts';

export type Placement = { node: string } | { unschedulable: string };

export function isOutside(pod: Pod, namespaceAnnotations: Record<string, string> | undefined): boolean {
  return (
    pod.metadata.annotations?.[OUTSIDE_ANNOTATION] === 'true' || namespaceAnnotations?.[OUTSIDE_ANNOTATION] === 'true'
  );
}

/**
 * The node with the fewest pods of the same owner, then the fewest pods, then the first by name. `nodeName` is taken
 * as it is, as Kubernetes does, but a node that is not there is said at once: here none will ever join.
 */
export function schedule(pod: Pod, nodes: readonly Node[], pods: readonly Pod[]): Placement {
  const names = nodes.map((node) => node.metadata.name).sort();
  const wanted = pod.spec.nodeName;
  if (wanted !== undefined) {
    if (names.includes(wanted)) return { node: wanted };
    return { unschedulable: `there is no node "${wanted}"; this lab has ${names.join(', ')}` };
  }
  const selector = pod.spec.nodeSelector ?? {};
  const fitting = nodes.filter((node) => matchesLabels(selector, node.metadata.labels));
  if (fitting.length === 0) {
    const pairs = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
    return { unschedulable: `no node has the labels ${pairs.join(', ')}; add them with a Node manifest` };
  }
  const live = pods.filter((other) => !isFinished(other));
  const ranked = fitting
    .map((node) => {
      const here = live.filter((other) => other.spec.nodeName === node.metadata.name);
      return {
        name: node.metadata.name,
        peers: here.filter((other) => ownerOf(other) === ownerOf(pod)).length,
        all: here.length,
      };
    })
    .sort((a, b) => a.peers - b.peers || a.all - b.all || a.name.localeCompare(b.name));
  return { node: ranked[0]?.name ?? '' };
}

/** Pods of one owner are spread; a bare pod is a peer of none but itself. */
function ownerOf(pod: Pod): string {
  const owner = pod.metadata.ownerReferences?.[0];
  return `${namespaceOf(pod)}/${owner === undefined ? `Pod/${pod.metadata.name}` : `${owner.kind}/${owner.name}`}`;
}
