import { addressFamily } from '../model/address.ts';
import { AGENT_PORTS, type Candidate, type Path } from '../model/connection.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { EndpointCondition, LocalityScope, Service, Workload } from '../model/workload.ts';

const NO_HINTS: readonly string[] = [];

interface Cached {
  service: Service;
  byCaller: Map<string, readonly Candidate[]>;
}

/** Keyed by the list of endpoints, which is replaced when any endpoint changes. */
const cache = new WeakMap<readonly Workload[], Cached>();

/**
 * The endpoints that a connection from `source` to a Service may be made to, as kube-proxy would choose them: ready
 * ones, else those that still serve while they terminate; only local ones under `internalTrafficPolicy: Local`; near
 * ones under `trafficDistribution`. Only addresses of the family that was asked for. Empty: kube-proxy would refuse.
 */
export function serviceCandidates(
  source: Workload,
  service: Service,
  servicePort: number,
  family: 4 | 6,
  snapshot: Snapshot,
): readonly Candidate[] {
  const endpoints = snapshot.endpoints.get(service.key);
  if (endpoints === undefined) return [];
  let cached = cache.get(endpoints);
  if (cached?.service !== service) {
    cached = { service, byCaller: new Map() };
    cache.set(endpoints, cached);
  }
  const { region, zone, subzone } = source.locality;
  const caller = [servicePort, family, source.node, source.network, source.clusterId, region, zone, subzone].join('|');
  return cached.byCaller.getOrInsertComputed(caller, () => choose(source, service, servicePort, family, endpoints));
}

/** How a connection from an enrolled workload gets to a workload, null being the world outside. */
export function pathTo(source: Workload, destination: Workload | null): Path {
  if (destination === null || !destination.enrolled || destination.hostNetwork) return 'Passthrough';
  return destination.node === source.node && source.node !== '' ? 'SameNode' : 'CrossNode';
}

/** The agent's own listeners in a captured pod: never a destination, or the agent would call itself. */
export function isAgentPort(workload: Workload | null, port: number): boolean {
  if (workload === null || !workload.enrolled || workload.hostNetwork) return false;
  return port === AGENT_PORTS.outbound || port === AGENT_PORTS.inbound || port === AGENT_PORTS.hbone;
}

function choose(
  source: Workload,
  service: Service,
  servicePort: number,
  family: 4 | 6,
  endpoints: readonly Workload[],
): readonly Candidate[] {
  const candidates = new Map<Workload, Candidate>();
  for (const workload of endpoints) {
    const address = workload.addresses.find((text) => addressFamily(text) === family);
    const port = targetPort(service, servicePort, workload);
    if (address === undefined || port === 0) continue;
    candidates.set(workload, { workload, address, port, path: pathTo(source, workload) });
  }
  const chosen = chooseWorkloads(source, service, [...candidates.keys()]);
  return chosen.map((workload) => candidates.get(workload)).filter((candidate) => candidate !== undefined);
}

/** 0: the workload has no port of that name. */
function targetPort(service: Service, servicePort: number, workload: Workload): number {
  return workload.services.get(service.key)?.get(servicePort) ?? service.ports.get(servicePort)?.targetPort ?? 0;
}

function chooseWorkloads(source: Workload, service: Service, workloads: readonly Workload[]): readonly Workload[] {
  const strict = service.mode === 'strict';
  const scopes = service.routingPreference;
  const pool = strict ? workloads.filter((w) => scopes.every((scope) => near(scope, source, w))) : workloads;
  const ready = pool.filter((workload) => service.allowUnhealthy || conditionOf(service, workload).ready);
  if (ready.length === 0) {
    return pool.filter((workload) => {
      const { serving, terminating } = conditionOf(service, workload);
      return serving && terminating;
    });
  }
  if (strict) return ready;
  const hinted = byHints(source, service, ready);
  return service.mode === 'failover' ? nearest(source, scopes, hinted) : hinted;
}

function conditionOf(service: Service, workload: Workload): EndpointCondition {
  const own = workload.endpointConditions.get(service.key);
  if (own !== undefined) return own;
  const { healthy: ready, serving, terminating } = workload;
  return { ready, serving, terminating, forZones: NO_HINTS, forNodes: NO_HINTS };
}

/**
 * EndpointSlice hints, by kube-proxy's rule (pkg/proxy/topology.go): they count only when every ready endpoint has one
 * and some endpoint is meant for the caller; hints for nodes go before hints for zones.
 */
function byHints(source: Workload, service: Service, ready: readonly Workload[]): readonly Workload[] {
  const conditions = ready.map((workload) => conditionOf(service, workload));
  const places = [
    { hints: conditions.map((condition) => condition.forNodes), here: source.node },
    { hints: conditions.map((condition) => condition.forZones), here: source.locality.zone },
  ];
  for (const { hints, here } of places) {
    if (here === '' || hints.some((list) => list.length === 0)) continue;
    const meant = ready.filter((_, i) => hints[i]?.includes(here));
    if (meant.length > 0) return meant;
  }
  return ready;
}

/** Leading preferences first: each narrows the set as long as someone is left, one that nobody meets is passed over. */
function nearest(source: Workload, scopes: readonly LocalityScope[], ready: readonly Workload[]): readonly Workload[] {
  let chosen = ready;
  for (const scope of scopes) {
    const matching = chosen.filter((workload) => near(scope, source, workload));
    if (matching.length > 0) chosen = matching;
  }
  return chosen;
}

/** An unknown region, zone or node is near to nothing; an empty network or cluster is the default one. */
function near(scope: LocalityScope, source: Workload, workload: Workload): boolean {
  const known = (a: string, b: string) => a !== '' && a === b;
  switch (scope) {
    case 'Network':
      return source.network === workload.network;
    case 'Cluster':
      return source.clusterId === workload.clusterId;
    case 'Region':
      return known(source.locality.region, workload.locality.region);
    case 'Zone':
      return known(source.locality.zone, workload.locality.zone);
    case 'Subzone':
      return known(source.locality.subzone, workload.locality.subzone);
    case 'Node':
      return known(source.node, workload.node);
  }
}
