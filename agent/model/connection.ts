import type { Identity, Service, Workload } from './workload.ts';

export interface SocketAddress {
  address: string;
  port: number;
}

/** A pod of this node that the agent has enrolled. */
export interface LocalPod {
  uid: string;
  namespace: string;
  name: string;
  serviceAccount: string;
  addresses: readonly string[];
  netns: number;
  /** Which steer instance and listeners are its own. */
  slot: number;
}

/** How the source identity came to be known. `address` only until certificates prove it across nodes. */
export type Attestation = 'netns' | 'address' | 'mtls' | 'none';

/** Why a connection was refused or ended; metric label, log field and the key of the reference. */
export type Reason =
  | 'ok'
  | 'policy_denied'
  | 'policy_not_allowed'
  | 'policy_changed'
  | 'awaiting_policy'
  | 'awaiting_workload'
  /** The HBONE port before the agent holds a certificate. */
  | 'awaiting_identity'
  | 'no_service_port'
  | 'no_healthy_endpoint'
  | 'self_call'
  | 'loop'
  | 'identity_changed'
  | 'endpoint_removed'
  | 'limit_connections'
  | 'connect_failed'
  | 'connect_timeout'
  | 'unenrolled'
  | 'drain'
  | 'idle_timeout'
  | 'reset_downstream'
  | 'reset_upstream'
  | 'internal';

/** The verdict on a connection and what it rests on. */
export interface Verdict {
  allowed: boolean;
  reason: Reason;
  /** `namespace/name` of the deciding policy; null when none decided (mesh default). */
  policy: string | null;
  /** Audit policies that would have refused it. */
  audited: readonly string[];
}

/** The facts that policies judge. `source` null: not a known workload. */
export interface ConnectionFacts {
  source: Workload | null;
  /** Only what was attested, never what an address merely suggests. */
  sourceIdentity: Identity | null;
  sourceAddress: string;
  destination: Workload | null;
  destinationAddress: string;
  /** The container's port (inbound), or the port connected to where the destination is no workload. */
  destinationPort: number;
  /** What was asked for, when that was a Service. */
  service: Service | null;
  servicePort: number;
}

/** `HBONE` and `Direct` are enrolled peers; `Passthrough` is the world outside the mesh. */
export type Path = 'SameNode' | 'CrossNode' | 'Hbone' | 'Passthrough' | 'ToApp';

/** Where and how to open the upstream socket. */
export interface Upstream {
  /** Namespace of the pod whose network the connection must be seen to come from. */
  netns: number;
  to: SocketAddress;
  /** The true client, with port 0; null: the kernel's choice. */
  from: SocketAddress | null;
  /** SO_MARK inside that namespace; 0: none. */
  mark: number;
}

/** A place that an outbound connection may be made to. */
export interface Candidate {
  /** Null: no workload that the mesh knows. */
  workload: Workload | null;
  /** Canonical, of the family that the app asked for. */
  address: string;
  /** The container's port where the destination is a workload. */
  port: number;
  path: Path;
}

/** In each enrolled pod's network namespace. */
export const AGENT_PORTS = Object.freeze({ outbound: 15001, inbound: 15006, hbone: 15008 });
