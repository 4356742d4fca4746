import { addressFamily, canonicalAddress } from '../model/address.ts';
import type { Candidate, ConnectionFacts, Reason, SocketAddress } from '../model/connection.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Service, Workload } from '../model/workload.ts';
import { isAgentPort, pathTo, serviceCandidates } from './endpoints.ts';

/** What is known of a captured connection before anything is decided. */
export interface OutboundRequest {
  /** The workload of the pod it comes from; null: not in the snapshot yet. */
  source: Workload | null;
  /** The pod's own end. */
  sourceAddress: string;
  /** What the app asked for. */
  destination: SocketAddress;
}

export interface OutboundRefusal {
  action: 'refuse';
  reason: Reason;
  policy: null;
  service: Service | null;
  servicePort: number;
}

export interface OutboundConnect {
  action: 'connect';
  /** Null: a pod's own address, or the world outside. */
  service: Service | null;
  /** 0 where there is no Service. */
  servicePort: number;
  /** Never empty; each with its own path. Which of them is the balancer's choice. */
  candidates: readonly Candidate[];
}

export type OutboundDecision = OutboundRefusal | OutboundConnect;

/**
 * Where a captured connection may go: the endpoints of a Service, a workload, or as it is to an address that the mesh
 * does not know. Policies are judged afterwards, on the endpoint that was picked (`factsOf`, then `judgeAtSource`).
 *
 * Reasons to refuse: `awaiting_workload` and `awaiting_policy` (hold and ask again with a later snapshot),
 * `self_call`, `no_service_port`, `no_healthy_endpoint`; `internal` for an address that is none.
 */
export function decideOutbound(request: OutboundRequest, snapshot: Snapshot): OutboundDecision {
  const { source } = request;
  const address = canonicalAddress(request.destination.address);
  const { port } = request.destination;
  if (address === null) return refuse('internal');
  if (source === null || snapshot.version === 0) return refuse('awaiting_workload');
  if (snapshot.awaiting.has(source.uid)) return refuse('awaiting_policy');
  if (snapshot.heldAddresses?.has(address)) return refuse('awaiting_workload');
  if (source.addresses.includes(address) && isAgentPort(source, port)) return refuse('self_call');

  const workload = snapshot.workloadByAddress.get(address) ?? null;
  const service = serviceAt(address, port, snapshot);
  if (service === null || service.mode === 'passthrough') return connectTo(source, workload, address, port, service);
  if (!service.ports.has(port)) {
    // An external address can be a node's or another pod's own, which serves more than the Service does.
    return workload === null
      ? refuse('no_service_port', service, port)
      : connectTo(source, workload, address, port, null);
  }
  const all = serviceCandidates(source, service, port, addressFamily(address), snapshot);
  const candidates = withoutAgentPorts.getOrInsertComputed(all, (list) => list.filter((each) => !isSelfCall(each)));
  if (candidates.length > 0) return { action: 'connect', service, servicePort: port, candidates };
  return refuse(all.length > 0 ? 'self_call' : 'no_healthy_endpoint', service, port);
}

/** The facts that policies judge, once a candidate has been picked. The source is attested by its network namespace. */
export function factsOf(request: OutboundRequest, decision: OutboundConnect, candidate: Candidate): ConnectionFacts {
  return {
    source: request.source,
    sourceIdentity: request.source?.identity ?? null,
    sourceAddress: request.sourceAddress,
    destination: candidate.workload,
    destinationAddress: candidate.address,
    destinationPort: candidate.port,
    service: decision.service,
    servicePort: decision.servicePort,
  };
}

/** Several Services can hold one external address on different ports; the first by key answers where none has the port. */
function serviceAt(address: string, port: number, snapshot: Snapshot): Service | null {
  const shared = snapshot.sharedAddresses?.get(address);
  return shared?.find((service) => service.ports.has(port)) ?? snapshot.serviceByAddress.get(address) ?? null;
}

function connectTo(
  source: Workload,
  workload: Workload | null,
  address: string,
  port: number,
  service: Service | null,
): OutboundDecision {
  if (isAgentPort(workload, port)) return refuse('self_call');
  const candidates = [{ workload, address, port, path: pathTo(source, workload) }];
  return { action: 'connect', service, servicePort: service === null ? 0 : port, candidates };
}

/** Made once for each list, which lives until an endpoint changes. */
const withoutAgentPorts = new WeakMap<readonly Candidate[], readonly Candidate[]>();

function isSelfCall(candidate: Candidate): boolean {
  return isAgentPort(candidate.workload, candidate.port);
}

function refuse(reason: Reason, service: Service | null = null, servicePort = 0): OutboundRefusal {
  return { action: 'refuse', reason, policy: null, service, servicePort };
}
