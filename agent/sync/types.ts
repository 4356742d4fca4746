/** The resource types of the stream. */
export const TYPE_ADDRESS = 'type.googleapis.com/istio.workload.Address';
export const TYPE_AUTHORIZATION = 'type.googleapis.com/istio.security.Authorization';
export const TYPE_OUTBOUND = 'type.googleapis.com/aquifer.v1.OutboundAuthorization';

export const TYPES: readonly string[] = Object.freeze([TYPE_AUTHORIZATION, TYPE_OUTBOUND, TYPE_ADDRESS]);

/** What this agent can enforce beyond WDS; a resource that requires another one is refused and its traffic held. */
export const CAPABILITIES: ReadonlySet<string> = new Set(['applies-to-ports', 'audit', 'outbound-policy']);
