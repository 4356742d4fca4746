/** NetworkPolicy v1 as nftables text: what a CNI enforces between pods, on one node and across. */
import {
  type Namespace,
  type NetworkPolicy,
  type NetworkPolicyPeer,
  type NetworkPolicyPort,
  namespaceOf,
  type Pod,
  podIps,
} from '../../cluster/objects.ts';
import { matchesSelector } from '../../cluster/selector.ts';

export interface PolicyWorld {
  /** Pods of all nodes. */
  pods: readonly Pod[];
  namespaces: readonly Namespace[];
  policies: readonly NetworkPolicy[];
  /** Only this node's pods are guarded here. */
  node: string;
}

type Direction = 'ingress' | 'egress';

/** Chains; to stand inside `table inet aquifer_lab { … }`. Traffic from the node itself is not forwarded: probes pass. */
export function policyRules(world: PolicyWorld): string {
  const local = world.pods.filter((pod) => pod.spec.nodeName === world.node && pod.spec.hostNetwork !== true);
  const chains: string[] = [];
  const jumps: string[] = [];
  for (const pod of local) {
    for (const direction of ['egress', 'ingress'] as const) {
      const selecting = world.policies.filter((policy) => selects(policy, pod, direction));
      if (selecting.length === 0) continue;
      for (const address of podIps(pod)) {
        const name = `${direction}-${address.replaceAll(/[.:]/g, '-')}`;
        chains.push(
          `chain ${name} {`,
          ...selecting.flatMap((policy) => policyLines(policy, direction, address, world)),
          '  drop',
          '}',
        );
        const side = direction === 'ingress' ? 'daddr' : 'saddr';
        jumps.push(`  ${familyOf(address)} ${side} ${address} jump ${name}`);
      }
    }
  }
  return [
    ...chains,
    'chain network-policy {',
    '  type filter hook forward priority 0;',
    '  ct state established,related accept',
    ...jumps,
    '}',
  ].join('\n');
}

function selects(policy: NetworkPolicy, pod: Pod, direction: Direction): boolean {
  if (namespaceOf(policy) !== namespaceOf(pod) || !matchesSelector(policy.spec.podSelector, pod.metadata.labels))
    return false;
  const implied = policy.spec.egress === undefined ? ['Ingress'] : ['Ingress', 'Egress'];
  return (policy.spec.policyTypes ?? implied).some((type) => type.toLowerCase() === direction);
}

/** One line for each way in; `return` means that this direction allows it, the other may still refuse. */
function policyLines(policy: NetworkPolicy, direction: Direction, address: string, world: PolicyWorld): string[] {
  const rules =
    direction === 'ingress'
      ? (policy.spec.ingress ?? []).map((rule) => ({ peers: rule.from, ports: rule.ports }))
      : (policy.spec.egress ?? []).map((rule) => ({ peers: rule.to, ports: rule.ports }));
  const family = familyOf(address);
  return rules.flatMap(({ peers, ports }) => {
    const peerMatches = matchPeers(peers, policy, family, direction, world);
    const portMatches = matchPorts(ports, policy, direction, world, address);
    return peerMatches.flatMap((peer) =>
      portMatches.map((port) => `  ${[peer, port, 'return'].filter(Boolean).join(' ')}`),
    );
  });
}

/** Empty text: no restriction. No entry: the rule admits nobody now, as when a selector matches no pod. */
function matchPeers(
  peers: readonly NetworkPolicyPeer[] | undefined,
  policy: NetworkPolicy,
  family: string,
  direction: Direction,
  world: PolicyWorld,
): string[] {
  if (peers === undefined || peers.length === 0) return [''];
  const side = direction === 'ingress' ? 'saddr' : 'daddr';
  return peers.flatMap((peer) => {
    if (peer.ipBlock !== undefined) {
      const { cidr, except = [] } = peer.ipBlock;
      if (familyOf(cidr) !== family) return [];
      const not = except.filter((block) => familyOf(block) === family);
      return [`${family} ${side} ${cidr}${not.length === 0 ? '' : ` ${family} ${side} != { ${not.join(', ')} }`}`];
    }
    const addresses = world.pods
      .filter((pod) => peerMatches(peer, pod, policy, world))
      .flatMap(podIps)
      .filter((ip) => familyOf(ip) === family);
    return addresses.length === 0 ? [] : [`${family} ${side} { ${[...new Set(addresses)].join(', ')} }`];
  });
}

function peerMatches(peer: NetworkPolicyPeer, pod: Pod, policy: NetworkPolicy, world: PolicyWorld): boolean {
  if (pod.spec.hostNetwork === true) return false;
  if (!matchesSelector(peer.podSelector ?? {}, pod.metadata.labels)) return false;
  if (peer.namespaceSelector === undefined) return namespaceOf(pod) === namespaceOf(policy);
  const namespace = world.namespaces.find((candidate) => candidate.metadata.name === namespaceOf(pod));
  const labels = { ...namespace?.metadata.labels, 'kubernetes.io/metadata.name': namespaceOf(pod) };
  return matchesSelector(peer.namespaceSelector, labels);
}

function matchPorts(
  ports: readonly NetworkPolicyPort[] | undefined,
  policy: NetworkPolicy,
  direction: Direction,
  world: PolicyWorld,
  address: string,
): string[] {
  if (ports === undefined || ports.length === 0) return [''];
  return ports.flatMap((port) => {
    const protocol = (port.protocol ?? 'TCP').toLowerCase();
    if (port.port === undefined) return [`meta l4proto ${protocol}`];
    if (typeof port.port === 'number') {
      return [`${protocol} dport ${port.port}${port.endPort === undefined ? '' : `-${port.endPort}`}`];
    }
    return namedPorts(port.port, protocol, policy, direction, world, address).map(
      (number) => `${protocol} dport ${number}`,
    );
  });
}

/** A name is resolved on the pod that receives: the guarded one for ingress, any pod of the cluster for egress. */
function namedPorts(
  name: string,
  protocol: string,
  policy: NetworkPolicy,
  direction: Direction,
  world: PolicyWorld,
  address: string,
): number[] {
  const receivers = direction === 'egress' ? world.pods : world.pods.filter((pod) => podIps(pod).includes(address));
  const numbers = receivers
    .filter((pod) => direction === 'egress' || namespaceOf(pod) === namespaceOf(policy))
    .flatMap((pod) => pod.spec.containers.flatMap((container) => container.ports ?? []))
    .filter((port) => port.name === name && (port.protocol ?? 'TCP').toLowerCase() === protocol)
    .map((port) => port.containerPort);
  return [...new Set(numbers)];
}

function familyOf(address: string): 'ip' | 'ip6' {
  return address.includes(':') ? 'ip6' : 'ip';
}
