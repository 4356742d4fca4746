/** The `ip` commands that make a lab's network, as text: pure, so that tests read them. */
import { CONTROLLER_ADDRESS, DNS_ADDRESSES, type NodeAddresses, netnsPath } from '../names.ts';

const MTU = 1500;
/** Both ends know each other's MAC address from the start: no ARP, no neighbour discovery, nothing to wait for. */
const GATEWAY_MAC = 'ee:ee:ee:ee:ee:ee';
const GATEWAY4 = '169.254.1.1';
const GATEWAY6 = 'fe80::1';
const FABRIC4 = '172.30.0.1';
const FABRIC6 = 'fd00:172:30::1';

/**
 * sysctls of a network namespace: strict reverse path filtering, as many distributions have it, so that what works in
 * the lab works there; no router advertisements, no duplicate address detection (it would hold addresses for a second).
 */
export function sysctls(router: boolean): [string, string][] {
  const values: [string, string][] = [
    ['net/ipv4/conf/all/rp_filter', '1'],
    ['net/ipv4/conf/default/rp_filter', '1'],
    ['net/ipv6/conf/all/accept_dad', '0'],
    ['net/ipv6/conf/default/accept_dad', '0'],
    ['net/ipv6/conf/default/accept_ra', '0'],
  ];
  const forward = router ? '1' : '0';
  values.push(['net/ipv4/ip_forward', forward], ['net/ipv6/conf/all/forwarding', forward]);
  // As container runtimes do: any user may bind low ports and ping.
  if (!router) values.push(['net/ipv4/ip_unprivileged_port_start', '0'], ['net/ipv4/ping_group_range', '0 2147483647']);
  return values;
}

/** Run outside: the namespace of the fabric. */
export function createFabric(fabric: string): string[] {
  return [`netns add ${fabric}`];
}

/** Run in the fabric: the bridge between the nodes, which is also the way to the hosts outside. */
export function fabricCommands(): string[] {
  return [
    'link set lo up',
    `link add fabric type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    `link set fabric mtu ${MTU} up`,
    `address add ${FABRIC4}/24 dev fabric`,
    `address add ${CONTROLLER_ADDRESS}/24 dev fabric`,
    `address add ${FABRIC6}/64 dev fabric nodad`,
    'address add 192.0.2.1/24 dev fabric',
    'address add 2001:db8::1/64 dev fabric nodad',
    // What nothing else knows is refused at once instead of waiting for a timeout.
    'route add unreachable default',
    'route add unreachable ::/0',
  ];
}

/** Run in the fabric: a node's namespace and its cable. */
export function attachNode(netns: string, node: NodeAddresses): string[] {
  return [
    `netns add ${netns}`,
    `link add n${node.index} mtu ${MTU} type veth peer name eth0 mtu ${MTU} netns ${netns}`,
    `link set n${node.index} master fabric up`,
    `route add ${node.podCidr4} via ${node.v4}`,
    `route add ${node.podCidr6} via ${node.v6}`,
  ];
}

/** Run in the node: its addresses, the way to the other nodes' pods, the DNS address, the world outside. */
export function nodeCommands(node: NodeAddresses, nodes: readonly NodeAddresses[]): string[] {
  const others = nodes.filter((other) => other.index !== node.index);
  return [
    'link set lo up',
    ...DNS_ADDRESSES.map(
      (address) =>
        `address add ${address}${address.includes(':') ? '/128 dev lo nodad preferred_lft 0' : '/32 dev lo scope host'}`,
    ),
    `address add ${node.v4}/24 dev eth0`,
    `address add ${node.v6}/64 dev eth0 nodad`,
    'link set eth0 up',
    ...others.flatMap((other) => [
      `route add ${other.podCidr4} via ${other.v4} src ${node.v4}`,
      `route add ${other.podCidr6} via ${other.v6} src ${node.v6}`,
    ]),
    `route add 192.0.2.0/24 dev eth0 src ${node.v4}`,
    `route add 2001:db8::/64 dev eth0 src ${node.v6}`,
    `route add default via ${FABRIC4} src ${node.v4}`,
    `route add ::/0 via ${FABRIC6} src ${node.v6}`,
    // An address of this node's range that no pod has must not wander to the fabric and back.
    `route add unreachable ${node.podCidr4}`,
    `route add unreachable ${node.podCidr6}`,
  ];
}

export interface PodCable {
  netns: string;
  veth: string;
  addresses: readonly [string, string];
}

/** Locally administered, derived from the address, so that an address used again has the same one. */
export function podMac(ipv4: string): string {
  return ['02', 'aa', ...ipv4.split('.').map((part) => Number(part).toString(16).padStart(2, '0'))].join(':');
}

/** Run in the node: a point-to-point cable with host routes, so that also pods of one node pass its forward chain. */
export function attachPod(cable: PodCable, node: NodeAddresses): string[] {
  const { veth, netns, addresses } = cable;
  const [v4, v6] = addresses;
  const mac = podMac(v4);
  return [
    `netns add ${netns}`,
    `link add ${veth} mtu ${MTU} address ${GATEWAY_MAC} type veth peer name eth0 mtu ${MTU} address ${mac} netns ${netns}`,
    `link set ${veth} addrgenmode none`,
    `link set ${veth} up`,
    `route replace ${v4}/32 dev ${veth} src ${node.v4}`,
    `route replace ${v6}/128 dev ${veth} src ${node.v6}`,
    `neigh replace ${v4} lladdr ${mac} dev ${veth} nud permanent`,
    `neigh replace ${v6} lladdr ${mac} dev ${veth} nud permanent`,
  ];
}

/** Run in the pod. */
export function podCommands(cable: PodCable): string[] {
  const [v4, v6] = cable.addresses;
  return [
    'link set lo up',
    'link set eth0 addrgenmode none',
    `address add ${v4}/32 dev eth0`,
    `address add ${v6}/128 dev eth0 nodad`,
    'link set eth0 up',
    `neigh add ${GATEWAY4} lladdr ${GATEWAY_MAC} dev eth0 nud permanent`,
    `neigh add ${GATEWAY6} lladdr ${GATEWAY_MAC} dev eth0 nud permanent`,
    `route add ${GATEWAY4} dev eth0 scope link`,
    `route add default via ${GATEWAY4} dev eth0 src ${v4}`,
    `route add ::/0 via ${GATEWAY6} dev eth0 src ${v6}`,
  ];
}

/** Run in the fabric: a host of the world outside, on the bridge. */
export function attachOutside(cable: PodCable): string[] {
  return [
    `netns add ${cable.netns}`,
    `link add ${cable.veth} mtu ${MTU} type veth peer name eth0 mtu ${MTU} netns ${cable.netns}`,
    `link set ${cable.veth} master fabric up`,
  ];
}

/** Run in the outside host: the pods' ranges lie behind their nodes, on the same wire. */
export function outsideCommands(cable: PodCable, nodes: readonly NodeAddresses[]): string[] {
  const [v4, v6] = cable.addresses;
  return [
    'link set lo up',
    `address add ${v4}/24 dev eth0`,
    `address add ${v6}/64 dev eth0 nodad`,
    'link set eth0 up',
    'route add 172.30.0.0/24 dev eth0',
    'route add fd00:172:30::/64 dev eth0',
    ...nodes.flatMap((node) => [
      `route add ${node.podCidr4} via ${node.v4}`,
      `route add ${node.podCidr6} via ${node.v6}`,
    ]),
  ];
}

/** A shell line that sets the sysctls of the namespace it runs in. */
export function sysctlScript(values: readonly [string, string][]): string {
  return values.map(([name, value]) => `[ ! -e /proc/sys/${name} ] || echo ${value} > /proc/sys/${name}`).join('\n');
}

/** Sets sysctls and runs `ip` commands in a namespace, in one go: `[command, args, standard input]`. */
export function inNamespace(
  netns: string,
  values: readonly [string, string][],
  commands: readonly string[],
): [string, string[], string] {
  const script = `${sysctlScript(values)}\nexec ip -batch -`;
  return ['nsenter', [`--net=${netnsPath(netns)}`, '--', 'sh', '-ec', script], `${commands.join('\n')}\n`];
}
