import type { Node } from '../cluster/objects.ts';
import type { NodeAddresses } from '../names.ts';

/** The Node of a lab's node, with the labels of the manifest of that name over the usual ones. */
export function nodeObject(node: NodeAddresses, source: Node | undefined): Node {
  const labels = {
    'kubernetes.io/hostname': node.name,
    'kubernetes.io/os': 'linux',
    ...source?.metadata.labels,
  };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: node.name,
      labels,
      ...(source?.metadata.annotations === undefined ? {} : { annotations: source.metadata.annotations }),
    },
    spec: { podCIDR: node.podCidr4, podCIDRs: [node.podCidr4, node.podCidr6] },
    status: {
      addresses: [
        { type: 'InternalIP', address: node.v4 },
        { type: 'InternalIP', address: node.v6 },
        { type: 'Hostname', address: node.name },
      ],
      conditions: [{ type: 'Ready', status: 'True', reason: 'LabNode' }],
    },
  };
}
