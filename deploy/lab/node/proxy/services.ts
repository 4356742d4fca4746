/** kube-proxy's part for pods and node processes that are not captured: Service addresses to endpoints, as nftables text. */
import {
  type Endpoint,
  type EndpointSlice,
  namespaceOf,
  SERVICE_NAME_LABEL,
  type Service,
} from '../../cluster/objects.ts';

const HAIRPIN_MARK = '0x4000';
const DEFAULT_AFFINITY_SECONDS = 10_800;

interface Target {
  address: string;
  port: number;
  node: string | undefined;
}

interface PortPlan {
  chain: string;
  protocol: string;
  port: number;
  addresses: string[];
  targets: Target[];
  affinitySeconds: number;
}

/** Chains, maps and sets; to stand inside `table inet aquifer_lab { … }`. `node` decides what `Local` means. */
export function serviceRules(services: readonly Service[], slices: readonly EndpointSlice[], node: string): string {
  const byService = Map.groupBy(
    slices,
    (slice) => `${namespaceOf(slice)}/${slice.metadata.labels?.[SERVICE_NAME_LABEL] ?? ''}`,
  );
  const plans = services
    .toSorted((a, b) => key(a).localeCompare(key(b)))
    .flatMap((service) =>
      [4, 6].flatMap((family) => plansOf(service, byService.get(key(service)) ?? [], family, node)),
    );
  const chains = plans.flatMap((plan, index) => portChains(plan, index));
  return [...chains, ...mapsOf(plans), ...HOOKS].join('\n');
}

/** Hooks are the same whatever the Services are. The map's lookup is what decides. */
const HOOKS = [
  'chain nat-prerouting {',
  '  type nat hook prerouting priority dstnat;',
  '  jump services',
  '}',
  'chain nat-output {',
  '  type nat hook output priority -100;',
  '  jump services',
  '}',
  'chain nat-postrouting {',
  '  type nat hook postrouting priority srcnat;',
  `  meta mark & ${HAIRPIN_MARK} == ${HAIRPIN_MARK} masquerade fully-random`,
  '}',
  'chain services {',
  '  ip daddr . meta l4proto . th dport vmap @services4',
  '  ip6 daddr . meta l4proto . th dport vmap @services6',
  '}',
  'chain refuse-forward {',
  '  type filter hook forward priority -5;',
  '  jump refuse',
  '}',
  'chain refuse-output {',
  '  type filter hook output priority -5;',
  '  jump refuse',
  '}',
  // As kube-proxy: a Service without endpoints refuses at once instead of leaving the caller to its timeout.
  'chain refuse {',
  '  ip daddr . meta l4proto . th dport @without4 reject',
  '  ip6 daddr . meta l4proto . th dport @without6 reject',
  '  ip daddr 10.96.0.0/16 ip daddr != 10.96.0.10 reject',
  '  ip6 daddr fd00:10:96::/112 ip6 daddr != fd00:10:96::a reject',
  '}',
];

function key(service: Service): string {
  return `${namespaceOf(service)}/${service.metadata.name}`;
}

function plansOf(service: Service, slices: readonly EndpointSlice[], family: number, node: string): PortPlan[] {
  const { spec } = service;
  if (spec.type === 'ExternalName' || spec.clusterIP === 'None') return [];
  const ofFamily = (address: string): boolean => address.includes(':') === (family === 6);
  const virtual = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  const addresses = [...virtual, ...(spec.externalIPs ?? [])].filter(ofFamily);
  if (addresses.length === 0) return [];
  return (spec.ports ?? []).map((port) => {
    const protocol = (port.protocol ?? 'TCP').toLowerCase();
    const all = slices
      .filter((slice) => slice.addressType === (family === 6 ? 'IPv6' : 'IPv4'))
      .flatMap((slice) => targetsOf(slice, port.name ?? '', protocol));
    const targets = spec.internalTrafficPolicy === 'Local' ? all.filter((target) => target.node === node) : all;
    return {
      chain: `svc${family}-${service.metadata.name}-${protocol}-${port.port}`,
      protocol,
      port: port.port,
      addresses,
      targets,
      affinitySeconds: affinityOf(service),
    };
  });
}

/** Ready endpoints; when there is none, those that still serve while they end, as kube-proxy does. */
function targetsOf(slice: EndpointSlice, name: string, protocol: string): Target[] {
  const port = slice.ports?.find(
    (entry) => (entry.name ?? '') === name && (entry.protocol ?? 'TCP').toLowerCase() === protocol,
  )?.port;
  if (port === undefined) return [];
  const endpoints = slice.endpoints ?? [];
  const ready = endpoints.filter((endpoint) => endpoint.conditions?.ready ?? true);
  const usable = ready.length > 0 ? ready : endpoints.filter(isServingWhileTerminating);
  return usable.flatMap((endpoint) =>
    endpoint.addresses.slice(0, 1).map((address) => ({ address, port, node: endpoint.nodeName })),
  );
}

function isServingWhileTerminating(endpoint: Endpoint): boolean {
  return endpoint.conditions?.serving === true && endpoint.conditions.terminating === true;
}

function affinityOf(service: Service): number {
  if (service.spec.sessionAffinity !== 'ClientIP') return 0;
  return service.spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS;
}

function portChains(plan: PortPlan, index: number): string[] {
  if (plan.targets.length === 0) return [];
  const family = plan.addresses[0]?.includes(':') === true ? 'ip6' : 'ip';
  const names = plan.targets.map((_, target) => `ep-${index}-${target}`);
  const sticky = plan.affinitySeconds > 0;
  const sets = sticky ? names.flatMap((name) => affinitySet(name, family, plan.affinitySeconds)) : [];
  const chains = plan.targets.flatMap((target, at) => endpointChain(target, names[at] ?? '', plan, family, sticky));
  const shares = names.map((name, at) => `${at} : goto ${name}`).join(', ');
  return [
    ...sets,
    ...chains,
    `# ${plan.chain}`,
    `chain svc-${index} {`,
    ...(sticky ? names.map((name) => `  ${family} saddr @aff-${name} goto ${name}`) : []),
    names.length === 1 ? `  goto ${names[0]}` : `  numgen random mod ${names.length} vmap { ${shares} }`,
    '}',
  ];
}

function affinitySet(name: string, family: string, seconds: number): string[] {
  const type = family === 'ip6' ? 'ipv6_addr' : 'ipv4_addr';
  return [`set aff-${name} {`, `  type ${type}; flags dynamic,timeout; timeout ${seconds}s; size 65535;`, '}'];
}

function endpointChain(target: Target, name: string, plan: PortPlan, family: string, sticky: boolean): string[] {
  const to = family === 'ip6' ? `[${target.address}]:${target.port}` : `${target.address}:${target.port}`;
  return [
    `chain ${name} {`,
    // A pod that reaches itself through its Service would drop an answer that comes from its own address.
    `  ${family} saddr ${target.address} meta mark set meta mark | ${HAIRPIN_MARK}`,
    ...(sticky ? [`  update @aff-${name} { ${family} saddr }`] : []),
    `  meta l4proto ${plan.protocol} dnat ${family} to ${to}`,
    '}',
  ];
}

function mapsOf(plans: readonly PortPlan[]): string[] {
  return [4, 6].flatMap((family) => {
    const type = family === 6 ? 'ipv6_addr' : 'ipv4_addr';
    const served = new Map<string, string>();
    const without = new Set<string>();
    for (const [index, plan] of plans.entries()) {
      for (const address of plan.addresses.filter((one) => one.includes(':') === (family === 6))) {
        const tuple = `${address} . ${plan.protocol} . ${plan.port}`;
        // Two Services may claim one external address: the first by name has it.
        if (plan.targets.length === 0) without.add(tuple);
        else if (!served.has(tuple)) served.set(tuple, `${tuple} : goto svc-${index}`);
      }
    }
    const unserved = [...without].filter((tuple) => !served.has(tuple));
    return [
      `map services${family} {`,
      `  type ${type} . inet_proto . inet_service : verdict;`,
      ...elements([...served.values()]),
      '}',
      `set without${family} {`,
      `  type ${type} . inet_proto . inet_service;`,
      ...elements(unserved),
      '}',
    ];
  });
}

function elements(entries: readonly string[]): string[] {
  return entries.length === 0 ? [] : [`  elements = { ${entries.join(', ')} }`];
}
