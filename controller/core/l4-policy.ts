import type { PortSpec } from './ports.ts';
import type { Labels } from './selector.ts';

/** The spec of an L4Policy as users write it, validated (aquifer.dev/v1alpha1). */
export interface L4PolicySpec {
  targetRefs?: readonly { group: string; kind: string; name: string }[] | undefined;
  selector?: { matchLabels: Labels } | undefined;
  direction: 'Inbound' | 'Outbound';
  action: 'Allow' | 'Deny';
  enforcement: 'Enforce' | 'Audit';
  rules: readonly L4Rule[];
}

export interface L4Rule {
  from?: readonly L4Source[] | undefined;
  to?: readonly L4Destination[] | undefined;
}

export interface L4Source {
  serviceAccounts?: readonly string[] | undefined;
  notServiceAccounts?: readonly string[] | undefined;
  namespaces?: readonly string[] | undefined;
  notNamespaces?: readonly string[] | undefined;
  principals?: readonly string[] | undefined;
  notPrincipals?: readonly string[] | undefined;
  ipBlocks?: readonly string[] | undefined;
  notIpBlocks?: readonly string[] | undefined;
}

/** Inbound policies have the ports only. */
export interface L4Destination {
  services?: readonly string[] | undefined;
  notServices?: readonly string[] | undefined;
  namespaces?: readonly string[] | undefined;
  notNamespaces?: readonly string[] | undefined;
  ipBlocks?: readonly string[] | undefined;
  notIpBlocks?: readonly string[] | undefined;
  hosts?: readonly string[] | undefined;
  notHosts?: readonly string[] | undefined;
  ports?: readonly PortSpec[] | undefined;
  notPorts?: readonly PortSpec[] | undefined;
}
