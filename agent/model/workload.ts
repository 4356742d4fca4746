/** Workloads, services and locality as the data path sees them: valid values only, converted once in `sync/`. */

/** `spiffe://<trust domain>/ns/<namespace>/sa/<service account>` taken apart. */
export interface Identity {
  trustDomain: string;
  namespace: string;
  serviceAccount: string;
}

export interface Locality {
  region: string;
  zone: string;
  subzone: string;
}

/** How a policy is named for a workload: the exact version that must be there before its traffic may pass. */
export interface PolicyRef {
  /** `namespace/name` */
  name: string;
  direction: 'Inbound' | 'Outbound';
  /** Empty under a controller that sends no versions (istiod). */
  version: string;
}

export interface Workload {
  /** `cluster/group/kind/namespace/name[/section]` */
  uid: string;
  name: string;
  namespace: string;
  identity: Identity;
  addresses: readonly string[];
  network: string;
  node: string;
  clusterId: string;
  /** Telemetry names: of the Deployment, Job, … that owns it. */
  workloadName: string;
  workloadType: 'deployment' | 'cronjob' | 'pod' | 'job';
  canonicalName: string;
  canonicalRevision: string;
  locality: Locality;
  hostNetwork: boolean;
  /** Captured and able to speak HBONE (WDS `tunnel_protocol`). */
  enrolled: boolean;
  healthy: boolean;
  /** EndpointSlice conditions; equal to `healthy` and false under a controller that does not send them. */
  serving: boolean;
  terminating: boolean;
  /** Weight among its peers; 1 by default. */
  capacity: number;
  /** Declared probe and lifecycle ports. */
  probePorts: readonly number[];
  /** `null`: the controller sends no references (istiod); then namespace and mesh-wide policies are implied. */
  policies: readonly PolicyRef[] | null;
  /** Names of selector policies (WDS `authorization_policies`), used when `policies` is null. */
  selectorPolicies: readonly string[];
  /** By service key: service port to this workload's port. */
  services: ReadonlyMap<string, ReadonlyMap<number, number>>;
  /** By service key, where it differs from the three flags above. */
  endpointConditions: ReadonlyMap<string, EndpointCondition>;
  /** The Pod's metadata.uid, empty when unknown. Same address and another uid: another pod. */
  podUid: string;
}

export interface EndpointCondition {
  ready: boolean;
  serving: boolean;
  terminating: boolean;
  forZones: readonly string[];
  forNodes: readonly string[];
}

export type LocalityScope = 'Network' | 'Region' | 'Zone' | 'Subzone' | 'Node' | 'Cluster';

export interface ServicePort {
  port: number;
  /** 0: named, found in `Workload.services`. */
  targetPort: number;
  appProtocol: 'unknown' | 'http11' | 'http2' | 'grpc' | 'tcp' | 'tls';
}

export interface Service {
  /** `namespace/hostname` */
  key: string;
  name: string;
  namespace: string;
  hostname: string;
  /** Virtual and external addresses; empty for a headless Service. */
  addresses: readonly string[];
  ports: ReadonlyMap<number, ServicePort>;
  routingPreference: readonly LocalityScope[];
  /** `strict`: only endpoints that match every preference; `passthrough`: no choice, the original destination. */
  mode: 'standard' | 'strict' | 'failover' | 'passthrough';
  /** publishNotReadyAddresses: endpoints count whatever their health. */
  allowUnhealthy: boolean;
  /** sessionAffinity ClientIP; 0: none. */
  sessionAffinitySeconds: number;
}
