import { formatSpiffe } from '../model/identity.ts';
import { REASONS } from './reasons.ts';
import type { ConnectionRecord } from './record.ts';

/** One connection as the access log, `/connections` and `/flows` show it; ztunnel's names and order first, then ours. */
export type ConnectionFields = Record<string, string | number | null | readonly string[]>;

export function fieldsOf(record: ConnectionRecord, durationMs: number): ConnectionFields {
  const { source, destination, service, sourceIdentity } = record.facts;
  const bytes = bytesOf(record);
  return {
    'src.addr': addressText(record.source.address, record.source.port),
    'src.workload': source?.name ?? null,
    'src.namespace': source?.namespace ?? null,
    'src.identity': sourceIdentity === null ? null : formatSpiffe(sourceIdentity),
    'src.cluster': source?.clusterId ?? null,
    'dst.addr': destinationAddress(record),
    'dst.service': service?.hostname ?? null,
    'dst.workload': destination?.name ?? null,
    'dst.namespace': destination?.namespace ?? null,
    'dst.identity': destination !== null && destinationAttested(record) ? formatSpiffe(destination.identity) : null,
    'dst.cluster': destination?.clusterId ?? null,
    direction: record.direction,
    bytes_sent: bytes.toClient,
    bytes_recv: bytes.fromClient,
    duration: `${Math.round(durationMs)}ms`,
    error: errorText(record),
    attested: record.attestation,
    path: record.path,
    policy: record.policy,
    reason: record.reason,
    audit: record.audited,
    'original.addr': addressText(record.originalDestination.address, record.originalDestination.port),
    state: record.state,
    id: record.id,
    pod: `${record.pod.namespace}/${record.pod.name}`,
  };
}

/** Sent and received as the server sees them, which is what Istio counts. */
export function bytesOf(record: ConnectionRecord): { toClient: number; fromClient: number } {
  const { flow } = record;
  if (flow === null) return { toClient: record.sentCounted, fromClient: record.receivedCounted };
  return { toClient: flow.bytesReceived(), fromClient: flow.bytesSent() };
}

/** Only what the agent itself put there: the pod of this node, or the enrolled pod that its own relay ends in. */
export function destinationAttested(record: ConnectionRecord): boolean {
  return record.path === 'SameNode' || record.direction === 'inbound';
}

export function errorText(record: ConnectionRecord): string | null {
  const { error } = REASONS[record.reason];
  if (error === '') return null;
  const detail = record.errorCode === '' ? '' : `: ${record.errorCode}`;
  const policy = record.policy === null ? '' : `: ${record.policy}`;
  return `${error}${policy}${detail}`;
}

export function destinationAddress(record: ConnectionRecord): string {
  const { address, port } = record.upstream ?? record.originalDestination;
  return addressText(address, port);
}

export function addressText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
